/**
 * Whether devices that lived through everything show what a device shows that was never seen before: the list, every
 * channel with all its messages, what is unread, and where reading stands.
 */
import { setTimeout as delay } from "node:timers/promises"
import type { ChatClient } from "@parley/client/ChatClient"
import type { Random } from "../harness/Random.ts"
import { clientOf, type TeamDevice } from "./Team.ts"

export interface Shown {
  readonly list: ReadonlyArray<unknown>
  readonly channels: ReadonlyMap<string, ShownChannel>
}

export interface ShownMessage {
  readonly key: string
  readonly seq: number | null
  readonly text: string
}

export interface ShownChannel {
  readonly values: unknown
  readonly messages: ReadonlyArray<ShownMessage>
}

const pollMs = 100
/** One fresh reading; then it is tried again. */
const readMsMax = 8_000

/** All that a client shows, with history read to its beginning. */
const shownBy = async (client: ChatClient): Promise<Shown> => {
  const channels = new Map<string, ShownChannel>()
  for (const { channel } of client.channels.snapshot().channels) {
    const view = client.channel(channel)
    while (view.snapshot().more) await view.loadOlder()
    const { cursor, fanout, head, members, mentions, messages, name, position, role, status, topic, unread } =
      view.snapshot()
    channels.set(channel, {
      values: { cursor, fanout, head, members, mentions, name, position, role, status, topic, unread },
      // Without what is not the channel's: own failed messages, and receipts, whose pushes may be lost.
      messages: messages
        .filter(({ state }) => state !== "failed")
        .map(({ error: _error, receipt: _receipt, ...message }) => message)
    })
    view.release()
  }
  const list = client.channels.snapshot().channels.toSorted((a, b) => (a.channel < b.channel ? -1 : 1))
  return { list, channels }
}

let readers = 0

export const shownFresh = async (url: string, user: string, random: Random): Promise<Shown> => {
  const client = clientOf(user, `fresh-${++readers}`, url, random)
  try {
    await client.start()
    await within(readMsMax, "a fresh device gets ready", client.ready())
    return await within(readMsMax, "a fresh device reads", shownBy(client))
  } finally {
    await client.close()
  }
}

const within = async <A>(ms: number, what: string, done: Promise<A>): Promise<A> => {
  const late = new AbortController()
  const timeout = delay(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error(`not within ${ms} ms: ${what}`)
  })
  // The one that loses is not waited for.
  timeout.catch(() => {})
  try {
    return await Promise.race([done, timeout])
  } finally {
    late.abort()
  }
}

const differenceOf = (device: string, shown: Shown, fresh: Shown): string | undefined => {
  const [a, b] = [plain(shown), plain(fresh)]
  if (a === b) return undefined
  const lines = b.split("\n")
  const others = a.split("\n")
  const known = new Set(lines)
  const here = new Set(others)
  const more = others.filter((line) => !known.has(line)).map((line) => `  shows ${line}`)
  const less = lines.filter((line) => !here.has(line)).map((line) => `  lacks ${line}`)
  return [`${device} differs from a fresh device`, ...[...more, ...less].slice(0, 20)].join("\n")
}

const plain = ({ channels, list }: Shown): string =>
  [
    ...list.map((item) => JSON.stringify(item)),
    ...[...channels]
      .toSorted()
      .flatMap(([channel, { messages, values }]) => [
        `${channel} ${JSON.stringify(values)}`,
        ...messages.map((message) => `${channel} ${JSON.stringify(message)}`)
      ])
  ].join("\n")

/** Until every device is idle and shows what a fresh one of its user shows; throws with what differs. */
export const converged = async (
  devices: ReadonlyArray<TeamDevice>,
  url: string,
  random: Random,
  msMax: number
): Promise<ReadonlyMap<string, Shown>> => {
  for (const end = Date.now() + msMax; ; await delay(pollMs)) {
    const { differences, fresh } = await compared(devices, url, random)
    if (differences.length === 0) return fresh
    if (Date.now() > end) throw new Error(`not within ${msMax} ms:\n${differences.join("\n")}`)
  }
}

const compared = async (devices: ReadonlyArray<TeamDevice>, url: string, random: Random) => {
  const fresh = new Map<string, Shown>()
  const differences: Array<string> = []
  try {
    for (const { client, name } of devices) {
      if (client.status.state !== "online") differences.push(`${name} is ${JSON.stringify(client.status)}`)
      await within(readMsMax, `${name} is idle`, client.idle())
    }
    for (const user of new Set(devices.map((device) => device.user))) {
      fresh.set(user, await shownFresh(url, user, random))
    }
    for (const { client, name, user } of devices) {
      const shown = await within(readMsMax, `${name} reads`, shownBy(client))
      const expected = fresh.get(user)
      const difference = expected && differenceOf(name, shown, expected)
      if (difference !== undefined) differences.push(difference)
    }
  } catch (error) {
    differences.push(error instanceof Error ? error.message : String(error))
  }
  return { differences, fresh }
}
