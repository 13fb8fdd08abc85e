/**
 * A short, fixed part of the simulator: some seeds that must find nothing, a seed played twice, and broken builds that must
 * be found. `npm run test:simulator` goes on from here, `npm run test:mutants` breaks every rule.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { patched } from "./simulator/SourcePatch.ts"
import { report, runBatch } from "./simulator/Campaign.ts"
import { mutants } from "./simulator/Mutants.ts"

const msMax = 120_000
const timeout = 150_000

describe("the simulator", () => {
  it(
    "finds every promise kept in whole clusters under faults",
    async () => {
      const runs = await runBatch({ from: 1, count: 12, msMax })
      expect(runs.filter(({ found }) => found.length > 0).map(report)).toEqual([])
      expect(runs.map(({ acked }) => acked > 0)).not.toContain(false)
    },
    timeout
  )

  it(
    "plays a seed again exactly, whatever ran before it in the process",
    async () => {
      const hashes = async (from: number, count: number) =>
        new Map((await runBatch({ from, count, msMax })).map(({ hash, seed }) => [seed, hash]))
      const [together, alone] = [await hashes(21, 3), await hashes(23, 1)]
      expect(together.size).toBe(3)
      expect(alone.get(23)).toBe(together.get(23))
    },
    timeout
  )

  it(
    "finds builds that are broken",
    async () => {
      for (const mutant of ["no-fence", "deleted-text-in-tail"]) {
        const seedsMax = mutants.find(({ name }) => name === mutant)?.seedsMax ?? 0
        const runs = await runBatch({ from: 1, count: seedsMax, mutant, msMax })
        expect({ mutant, found: runs.at(-1)?.found.length ?? 0 }).not.toEqual({ mutant, found: 0 })
      }
    },
    timeout
  )

  it("has the text of each mutant in the product exactly once", () => {
    const gone = mutants.flatMap((mutant) => {
      try {
        patched(readFileSync(join(import.meta.dirname, "..", mutant.file), "utf8"), mutant)
        return []
      } catch (error) {
        return [String(error)]
      }
    })
    expect(gone).toEqual([])
  })

  it("refuses a mutant whose text is gone from the product", () => {
    const [mutant] = mutants
    expect(() => patched("another text", mutant!)).toThrow(/0 times/)
  })
})
