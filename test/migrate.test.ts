/**
 * From one server to a cluster: a team works on a server that is alone, `parley migrate` moves its data directory, and the
 * same devices go on at the cluster's nodes from the positions that they hold. The checker looks at all that anybody was
 * ever told, before and after: nothing lost, repeated or in another order, client ids of before known, counts the same.
 * What is refused, and what arrives in detail, is `apps/node/test/migrate`.
 */
import { spawn } from "node:child_process"
import { readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { mkdtempSync } from "node:fs"
import { afterAll, expect, it } from "vitest"
import { type LocalCluster, startCluster } from "../infra/cluster/LocalNodes.ts"
import { tail } from "../infra/services/Readiness.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { expectSound, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"
import { faultEnvironment } from "./faults/Faults.ts"

const root = join(import.meta.dirname, "..")
const secret = "a secret of both, the server and the nodes of the cluster"
const startMsMax = 400_000

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

const folder = mkdtempSync(join(tmpdir(), "parley-migrate-"))
let cluster: LocalCluster | undefined
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}, startMsMax)

/** `killAt`: once it has said so, it is killed. */
const migrate = (environment: Readonly<Record<string, string>>, data: string, killAt?: string): Promise<Ended> =>
  new Promise((resolve) => {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("PARLEY_"))
    const child = spawn(process.execPath, ["infra/launch.mjs", "apps/node/src/main.ts", "migrate", "--data", data], {
      cwd: root,
      env: { ...Object.fromEntries(inherited), ...environment }
    })
    let out = ""
    let error = ""
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => {
      error += chunk.toString()
      if (killAt !== undefined && error.includes(killAt)) child.kill("SIGKILL")
    })
    child.on("close", (code) => resolve({ code, out, error }))
  })

it(
  "a data directory moves into a cluster: devices go on from where they are, and nothing is lost",
  { timeout: startMsMax },
  async () => {
    const data = join(folder, "alone")
    const random = Random.fromEnvironment()
    const environment = { ...faultEnvironment, PARLEY_AUTH_SECRET: secret }
    const alone = await Server.start({
      data,
      environment: { PARLEY_AUTH_SECRET: secret, PARLEY_DRAIN_WINDOW_MS: "0", PARLEY_DRAIN_DEADLINE_MS: "500" }
    })
    let node: (() => string | undefined) | undefined
    const workload = new Workload({
      random,
      url: () => node?.() ?? alone.url,
      mutationsMax: 4_000,
      pauseMs: 20,
      tag: "m"
    })
    try {
      const beforeNodes = async (settings: Readonly<Record<string, string>>): Promise<void> => {
        await workload.prepare()
        workload.begin()
        expect(await workload.untilAcked(300, 30_000)).toBe(true)
        // As if the power went: the store is behind the log.
        await alone.kill()
        const cut = await migrate(settings, data, "now the log")
        expect(cut.code).toBe(null)
        const again = await migrate(settings, data)
        expect([again.code, again.error, again.out]).toEqual([
          0,
          expect.any(String),
          expect.stringContaining("the same on both sides")
        ])
        expect(await readFile(join(data, "migration.txt"), "utf8")).toMatch(/^group:redm \d+ [0-9a-f]{64}$/m)
        const old = Server.launch({ data })
        expect([(await old.exited).code, old.output]).toEqual([1, expect.stringContaining("was moved to the cluster")])
      }
      const running = await startCluster({ data: join(folder, "cluster"), count: 2, port: 0, environment, beforeNodes })
      cluster = running
      const nodes = running.nodes
      node = () => random.pick(nodes)?.url
      expect(await workload.untilAcked(150, 60_000)).toBe(true)
      await workload.end(30_000)
      expectSound(
        await verdict(
          workload,
          () => ({
            url: node?.(),
            servers: nodes.map(({ url }) => url),
            output: nodes.map(({ log }) => tail(log, 30).join("\n")).join("\n")
          }),
          random,
          40_000
        )
      )
    } finally {
      await workload.stop()
      await alone.kill()
    }
  }
)
