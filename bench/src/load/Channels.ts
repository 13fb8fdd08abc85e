/** Channels of a bench: made by ops, and synced until they are live. */
import { pause } from "../Report.ts"
import { type Client, clientId, inParallel } from "./Clients.ts"

/** `members_per_change_max` of the protocol. */
const membersPerChange = 100
const syncTriesMax = 600

/** The first member of each channel makes it, a hundred members at a time. */
export const createChannels = async (
  clients: ReadonlyArray<Client>,
  channels: ReadonlyArray<{ readonly id: string; readonly members: ReadonlyArray<number> }>
): Promise<void> => {
  await inParallel(channels, 64, async ({ id, members }) => {
    const creator = clients[members[0] ?? 0]
    if (creator === undefined) throw new Error(`${id} has no members`)
    const users = members.slice(1).map((index) => clients[index]?.user ?? "")
    const first = JSON.stringify(users.slice(0, membersPerChange))
    await creator.request("create", `"cid":"${clientId()}","channel":"${id}","name":"bench","members":${first}`)
    for (let at = membersPerChange; at < users.length; at += membersPerChange) {
      const some = JSON.stringify(users.slice(at, at + membersPerChange))
      await creator.request("add_members", `"cid":"${clientId()}","channel":"${id}","members":${some}`)
    }
  })
}

/** One channel of a sync's answer, as far as the benches look at it. */
export interface SyncedChannel {
  readonly head: { readonly channel: string; readonly generation: number; readonly seq: number }
  readonly from: number
  readonly to: number
  readonly reload: boolean
  readonly events: ReadonlyArray<{ readonly seq: number; readonly text?: string }>
}

export interface SyncAnswer {
  readonly session: { readonly generation: number; readonly seq: number }
  readonly channels: ReadonlyArray<SyncedChannel>
  /** Whose owner could not be asked: a client syncs again. */
  readonly unavailable?: ReadonlyArray<string>
  readonly more: string | null
}

// The server's own answer; a bench that misreads it fails by what it finds.
const syncAnswer = (frame: string): SyncAnswer => (JSON.parse(frame) as { readonly ok: SyncAnswer }).ok

/** All pages of a sync, by the positions held. */
export const sync = async (
  client: Client,
  held: ReadonlyArray<readonly [channel: string, generation: number, seq: number]>,
  session: SyncAnswer["session"]
): Promise<SyncAnswer> => {
  const fields = `"channels":${JSON.stringify(held)},"session":${JSON.stringify(session)}`
  let answer = syncAnswer(await client.request("sync", fields))
  const channels = [...answer.channels]
  const unavailable = [...(answer.unavailable ?? [])]
  while (answer.more !== null) {
    answer = syncAnswer(await client.request("sync", `${fields},"page":${JSON.stringify(answer.more)}`))
    channels.push(...answer.channels)
    unavailable.push(...(answer.unavailable ?? []))
  }
  return { ...answer, channels, unavailable }
}

/**
 * Syncs until each client sees `expected` channels; from then on it gets their events live, from the heads that this
 * answers on.
 */
export const syncAll = (
  clients: ReadonlyArray<Client>,
  expected: (index: number) => number
): Promise<ReadonlyArray<ReadonlyArray<SyncedChannel>>> =>
  inParallel(clients, 64, async (client, index) => {
    for (let tries = 0; tries < syncTriesMax; tries++) {
      const { channels } = await sync(client, [], { generation: 0, seq: 0 })
      if (channels.length >= expected(index)) return channels
      await pause(100)
    }
    throw new Error(`${client.user} never saw its channels`)
  })
