/**
 * Two groups of tests. `unit` is everything beside the code it tests, run side by side. `system` starts real
 * processes and looks at the clock, so it runs afterwards, one file at a time.
 */
import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { NotRunReporter } from "./infra/NotRunReporter.ts"

export default defineConfig({
  test: {
    environment: "node",
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ["default", new NotRunReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["libs/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts", "infra/**/test/**/*.test.ts"],
          globalSetup: "infra/testSetup.ts",
          maxWorkers: Math.max(2, availableParallelism() - 1),
          sequence: { groupOrder: 1 }
        }
      },
      {
        extends: true,
        test: {
          name: "system",
          include: ["test/**/*.test.ts", "bench/test/**/*.test.ts"],
          globalSetup: "infra/testSetup.ts",
          fileParallelism: false,
          // Faults come at random instants: the seed is printed with what was found, PARLEY_TEST_SEED plays it again.
          sequence: { groupOrder: 2 }
        }
      }
    ]
  }
})
