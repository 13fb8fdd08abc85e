/** The commands that are not `serve` or `chat`, as a person runs them: what they print, and how they end. */
import { spawn } from "node:child_process"
import { stat, truncate } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { RawClient } from "./wire/RawClient.ts"

const root = join(import.meta.dirname, "..")

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

const parley = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ["infra/launch.mjs", "apps/node/src/main.ts", ...args], { cwd: root })
    let out = ""
    let error = ""
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (error += chunk.toString()))
    child.on("close", (code) => resolve({ code, out, error }))
  })

let folder: Folder
let server: Server
beforeAll(async () => {
  folder = await Folder.make()
  server = await Server.start({ data: folder.in("data"), environment: { PARLEY_DRAIN_WINDOW_MS: "0" } })
})
afterAll(async () => {
  await server.kill()
  await folder[Symbol.asyncDispose]()
})
const url = () => server.url ?? ""

it("a server in development mode says where it listens, and how two people chat on it", () => {
  expect(server.output).toContain(`Parley is ready on ${url()} (data in ${folder.in("data")})`)
  for (const name of ["ana", "ben"]) expect(server.output).toContain(`npm run chat -- --as ${name} --url ${url()}`)
})

it("parley token gives a token that the socket takes", async () => {
  const { code, out } = await parley("token", "tom", "--url", url())
  expect(code).toBe(0)
  const client = await RawClient.open(url())
  expect((await client.ok("hello", { token: out.trim(), device: "d" }))["user"]).toBe("tom")
  const nowhere = await parley("token", "tom", "--url", "http://127.0.0.1:9")
  expect([nowhere.code, nowhere.error]).toEqual([1, expect.stringContaining("no server at http://127.0.0.1:9")])
})

it("parley inspect prints an entity by the key in the data directory, without texts", async () => {
  const { out } = await parley("token", "ina", "--url", url())
  const client = await (await RawClient.open(url())).join(out.trim(), "d")
  await client.ok("create", { channel: "group:looked", cid: newClientId(), name: "", members: [] })
  await client.ok("send", { channel: "group:looked", cid: newClientId(), text: "not to be printed" })
  const asked = ["--url", url(), "--data", folder.in("data")]
  const printed = await parley("inspect", "channel", "group:looked", ...asked)
  expect([printed.code, printed.error]).toEqual([0, ""])
  // What was printed is an object.
  expect(Object.keys(JSON.parse(printed.out) as object).length).toBeGreaterThan(3)
  expect(printed.out).not.toContain("not to be printed")
  expect((await parley("inspect", "channel", "group:looked", ...asked, "--payloads")).out).toContain(
    "not to be printed"
  )
  expect((await parley("inspect", "planet", "mars", ...asked)).code).toBe(2)
  const wrongKey = await parley("inspect", "channel", "group:looked", "--url", url(), "--key", "wrong")
  expect([wrongKey.code, wrongKey.out]).toEqual([1, ""])
})

it(
  "parley replay plays real conversations, and finds every message at every member, in order",
  { timeout: 60_000 },
  async () => {
    const played = await parley(
      "replay",
      "bench/data/conversations.ndjson.gz",
      "--url",
      url(),
      "--conversations",
      "5",
      "--speed",
      "1000000"
    )
    expect([played.code, played.error, played.out]).toEqual([
      0,
      "",
      expect.stringMatching(/^5 conversations, [1-9].*[1-9]\d* deliveries checked.* 0 wrong/)
    ])
  }
)

it("parley doctor finds a stopped server's data sound, and names what is wrong with others", async () => {
  expect(await server.stop()).toMatchObject({ code: 0 })
  const sound = await parley("doctor", "--data", folder.in("data"))
  expect([sound.code, sound.out + sound.error]).toEqual([0, expect.stringMatching(/record/)])
  const log = folder.in("data/log.sqlite")
  await truncate(log, (await stat(log)).size - 4_096)
  const cut = await parley("doctor", "--data", folder.in("data"))
  expect([cut.code === 0, cut.out + cut.error]).toEqual([false, expect.stringMatching(/damaged|malformed/)])
})
