/**
 * A device that was away for a million events: it gets what helps it at once (fresh heads and exact counts of all its
 * channels), the newest page of a channel as soon as it looks, and every older one on demand.
 */
import { seed, type SeedOptions } from "@parley/bench/seed/Seed"
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { developmentToken } from "./wire/Tokens.ts"
import { RawClient } from "./wire/RawClient.ts"

const busyMessages = 900_000
const otherChannels = 100
const otherMessages = 1_000
/** Writers in turn: the device's user wrote every third message, which is not unread to him. */
const senders = 3
const members = ["ana", "ben", "rip"]

const channels: SeedOptions["channels"] = [
  { id: "group:busy", members, messages: busyMessages, senders },
  ...Array.from({ length: otherChannels }, (_, i) => ({
    id: `group:other${i}`,
    members,
    messages: otherMessages,
    senders
  }))
]

/** Messages by the others after the first event, of so many. */
const unreadOf = (messages: number): number => messages - Math.floor(messages / senders)

it(
  "a device 1,000,000 events behind has heads and exact counts at once, and history on demand",
  { timeout: 180_000 },
  async () => {
    await using folder = await Folder.make()
    await seed(folder.in("data"), { channels })
    const server = await Server.start({ data: folder.in("data") })
    try {
      const url = server.url ?? ""
      const rip = await RawClient.open(url)
      await rip.ok("hello", { token: await developmentToken(url, "rip"), device: "old" })
      const held = [...channels].map(({ id }) => [id, 1, 1] as const)
      const askedAt = Date.now()
      let behind = 0
      let bytes = 0
      const seen = new Set<string>()
      for (let more: string | null = "", page = {}; more !== null; page = { page: more }) {
        const answer = await rip.ok("sync", {
          channels: held,
          session: { generation: 1, seq: otherChannels + 1 },
          ...page
        })
        for (const { events, head, reload, to } of answer["channels"]) {
          const messages = head.channel === "group:busy" ? busyMessages : otherMessages
          expect(head).toMatchObject({ seq: messages + 1, n: messages, unread: unreadOf(messages), mentions: 0 })
          expect(head.last.n).toBe(messages)
          // Either all that lies between, or the word that it has to begin anew; never a part that looks like all of it.
          expect(reload || events.at(-1)?.seq === to).toBe(true)
          if (head.channel === "group:busy") expect([reload, to]).toEqual([true, messages + 1])
          behind += head.seq - 1
          seen.add(head.channel)
        }
        bytes += JSON.stringify(answer).length
        more = answer["more"]
      }
      const tookMs = Date.now() - askedAt
      expect([behind, seen.size]).toEqual([busyMessages + otherChannels * otherMessages, otherChannels + 1])
      process.stdout.write(`1,000,000 events behind: heads of ${seen.size} channels in ${tookMs} ms, ${bytes} bytes\n`)
      expect(tookMs).toBeLessThan(10_000)
      // On demand: the newest page, and one from where the device was.
      const newest = await rip.ok("history", { channel: "group:busy", limit: 200 })
      expect([newest["events"].length, newest["to"], newest["before"]]).toEqual([200, busyMessages + 1, true])
      const oldest = await rip.ok("history", { channel: "group:busy", after: 1, limit: 200 })
      expect(oldest["events"].map((event: { n: number }) => event.n)).toEqual(
        Array.from({ length: 200 }, (_, i) => i + 1)
      )
      // It resumes from there like any other device.
      const { channels: none } = await rip.ok("sync", {
        channels: [["group:busy", 1, busyMessages + 1]],
        session: { generation: 1, seq: otherChannels + 1 }
      })
      const busy = none.find((one: { head: { channel: string } }) => one.head.channel === "group:busy")
      expect(busy).toMatchObject({ reload: false, from: busyMessages + 1, to: busyMessages + 1, events: [] })
    } finally {
      await server.kill()
    }
  }
)
