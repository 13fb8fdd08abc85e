/**
 * A server process whose event loop stands still for two seconds: what comes meanwhile is refused, retryable and with a wait,
 * rather than done too late; what only reads is answered; and it recovers by itself, with each message there once.
 */
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { developmentToken } from "./wire/Tokens.ts"
import { RawClient, until } from "./wire/RawClient.ts"

const channel = "group:stalled"
const sends = 20
const retryMs = 250
const triesMax = 80

/** Returns while it stands still. */
const stall = async (server: Server): Promise<void> => {
  const stalls = () => server.output.split("stands still").length
  const before = stalls()
  process.kill(server.pid, "SIGUSR2")
  await until("the stall", () => stalls() > before)
}

it("a stalled event loop refuses changes and new connections, then recovers", { timeout: 60_000 }, async () => {
  await using folder = await Folder.make()
  const environment = { PARLEY_TEST_FAULT: "stall", PARLEY_UNSAFE_LOG: "true", PARLEY_DRAIN_WINDOW_MS: "0" }
  const server = await Server.start({ data: folder.in("data"), environment })
  try {
    const url = server.url ?? ""
    const join = async (user: string) => (await RawClient.open(url)).join(await developmentToken(url, user), "d")
    const [ana, ben] = [await join("ana"), await join("ben")]
    await ana.ok("create", { channel, cid: newClientId(), name: "", members: ["ben"] })
    await ben.pushed("the channel", ({ ev }) => ev === "channel")

    await stall(server)
    const stalledAt = performance.now()
    const messages = Array.from({ length: sends }, (_, at) => ({ channel, cid: newClientId(), text: `m${at}` }))
    const pinged = ana.request("ping").then(() => performance.now() - stalledAt)
    const answers = await Promise.all(messages.map((message) => ana.request("send", message)))
    expect(await pinged).toBeGreaterThan(1_000)
    for (const { error } of answers) {
      expect(error).toMatchObject({ code: "overloaded", retryable: true, retry_after_ms: expect.any(Number) })
      expect(error.retry_after_ms).toBeGreaterThanOrEqual(500)
    }
    expect((await ana.ok("history", { channel, limit: 200 }))["events"]).toEqual([])

    await stall(server)
    const [late, health] = await Promise.all([RawClient.open(url), fetch(`${url}/readyz`)])
    expect([late.refusedWith, health.status]).toEqual([503, 503])
    expect(await health.json()).toMatchObject({ reasons: ["the node is overloaded"] })

    for (const message of messages) {
      let answer = await ana.request("send", message)
      for (let tries = 0; answer["ok"] === undefined && tries < triesMax; tries++) {
        expect(answer["error"]).toMatchObject({ code: "overloaded" })
        // Sooner than it says, which costs a try or two.
        await new Promise((resolve) => setTimeout(resolve, retryMs))
        answer = await ana.request("send", message)
      }
      expect(answer["ok"]).toBeDefined()
    }
    const shown = () => ben.frames.filter(({ ev }) => ev === "event").map(({ event }) => event.text)
    const texts = messages.map(({ text }) => text)
    await until("all of them at the other", () => shown().length >= sends)
    expect(shown()).toEqual(texts)
    const { events } = await ben.ok("history", { channel, limit: 200 })
    expect(events.map(({ text }: { readonly text: string }) => text)).toEqual(texts)
    expect((await join("cleo")).closed).toBeUndefined()
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    expect(await server.stop()).toMatchObject({ code: 0, inTime: true })
    expect(server.output).not.toMatch(/\b(ERROR|FATAL)\b/)
  } finally {
    await server.kill()
  }
})
