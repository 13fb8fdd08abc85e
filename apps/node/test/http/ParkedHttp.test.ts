/** What an operator sees and does of parked events, by HTTP and by `parley parked` (†26). */
import { createHash } from "node:crypto"
import { afterAll, beforeAll, describe, expect, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { ParkedRefused } from "@parley/actors/fanout/Parking"
import { parkedCommand } from "../../src/cli/ParkedCommand.ts"
import { EdgeHarness } from "../edge/EdgeHarness.ts"

const apiKey = "a-key-of-an-operator"
let harness: EdgeHarness
const asked: Array<string> = []
beforeAll(async () => {
  harness = await EdgeHarness.start({ apiKeyHashes: [createHash("sha256").update(apiKey).digest("hex")] })
  harness.parked.register({
    consumer: "persister",
    count: 2,
    list: () =>
      Effect.succeed(
        [4, 5].map((seq) => ({
          consumer: "persister",
          topic: "channel" as const, // a literal
          id: "group:one",
          generation: 1,
          seq,
          shard: 1,
          kind: "message",
          why: seq === 4 ? "too big" : "",
          parkedAt: 1_795_530_194_000,
          event: Buffer.from("the text")
        }))
      ),
    retry: (topic, id) => {
      asked.push(`retry ${topic} ${id}`)
      return Effect.succeed({ written: 1, left: 0, why: "" })
    },
    drop: (topic, id, seq) => {
      asked.push(`drop ${topic} ${id} ${seq}`)
      return seq === 4 ? Effect.succeed({ left: 1 }) : Effect.fail(new ParkedRefused({ why: "only the first" }))
    }
  })
})
afterAll(() => harness.stop())

const run = async (...args: ReadonlyArray<string>) => {
  let out = ""
  const take = (chunk: unknown) => {
    out += String(chunk)
    return true
  }
  const spies = [vi.spyOn(process.stdout, "write"), vi.spyOn(process.stderr, "write")]
  for (const spy of spies) spy.mockImplementation(take)
  const code = await parkedCommand([...args, "--url", harness.http, "--key", apiKey])
  for (const spy of spies) spy.mockRestore()
  return { code, out }
}

describe("parked events", () => {
  it("†26 are listed with their reasons and without their texts", async () => {
    const { code, out } = await run()
    expect(code).toBe(0)
    expect(out).toContain("persister channel group:one 4 message: too big")
    expect(out).toContain("persister channel group:one 5 message: waits behind")
    expect(out).not.toContain("the text")
    const metrics = await (await fetch(`${harness.http}/metrics`)).text()
    expect(metrics).toMatch(/parley_parked_events\{consumer="persister"\} 2/)
  })

  it("†26 are tried again, and given up together with what waits behind", async () => {
    expect(await run("retry", "persister", "channel", "group:one")).toMatchObject({ code: 0 })
    const dropped = await run("drop", "persister", "channel", "group:one", "4")
    expect(JSON.parse(dropped.out)).toEqual({ written: 1, left: 0, why: "" })
    expect(asked).toEqual(["retry channel group:one", "drop channel group:one 4", "retry channel group:one"])
  })

  it("†26 say why they can't be given up, and are nobody's business but an operator's", async () => {
    expect(await run("drop", "persister", "channel", "group:one", "5")).toMatchObject({ code: 1 })
    expect((await run("drop", "persister", "channel", "group:one", "5")).out).toContain("only the first")
    expect((await run("retry", "nobody", "channel", "group:one")).out).toContain("no consumer is called nobody")
    expect(await run("drop", "persister")).toMatchObject({ code: 2 })
    const user = await fetch(`${harness.http}/v1/parked`, {
      headers: { authorization: `Bearer ${await harness.token("ann")}` }
    })
    expect(user.status).toBe(403)
  })
})
