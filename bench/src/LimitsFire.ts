/**
 * The second run of each bench: the same server with its limits below the load, to show that what was evaluated in the
 * first run, and stood above it, does fire: sends of a user, his reads, frames of a connection, connections of an
 * address. What is not refused is served.
 */
import { type Client, clientId, connectClient, type Target } from "./load/Clients.ts"
import { createChannels } from "./load/Channels.ts"
import { startParley } from "./Servers.ts"

export type LimitKind = "sends" | "reads" | "connections"

export interface LimitsFired {
  readonly kind: LimitKind
  readonly asked: number
  readonly served: number
  readonly refused: number
  /** Some were served, the rest refused by the limit and nothing else. */
  readonly fired: boolean
}

const asked = 200

const tight: Readonly<Record<LimitKind, Readonly<Record<string, string>>>> = {
  sends: { PARLEY_SENDS_PER_SECOND: "5" },
  reads: { PARLEY_READS_PER_SECOND: "10" },
  connections: { PARLEY_CONNECTS_PER_ADDRESS_PER_SECOND: "5" }
}

export const limitsFire = async (kind: LimitKind): Promise<LimitsFired> => {
  const server = await startParley({ env: { ...tight[kind], PARLEY_FLOOD_STRIKES_MAX: "1000" } })
  const target = { port: server.port, baseline: false }
  try {
    const { other, refused, served } =
      kind === "connections" ? await connectOften(target) : await askOften(target, kind)
    return { kind, asked, served, refused, fired: served > 0 && refused > 0 && other === 0 }
  } finally {
    await server.stop("SIGKILL")
  }
}

interface Counts {
  served: number
  refused: number
  other: number
}

const askOften = async (target: Target, kind: "sends" | "reads"): Promise<Counts> => {
  const client: Client = await connectClient(target, "u0", [])
  await createChannels([client], [{ id: "group:limits", members: [0] }])
  const counts = { served: 0, refused: 0, other: 0 }
  const answers = Array.from(
    { length: asked },
    () =>
      new Promise<void>((resolve) => {
        const answered = (frame: string) => {
          if (frame.includes('"code":"rate_limited"') && frame.includes('"retry_after_ms"')) counts.refused++
          else if (frame.includes('"ok":')) counts.served++
          else counts.other++
          resolve()
        }
        if (kind === "sends") client.ask("send", `"cid":"${clientId()}","channel":"group:limits","text":"x"`, answered)
        else client.ask("history", '"channel":"group:limits"', answered)
      })
  )
  await Promise.all(answers)
  client.close()
  return counts
}

const connectOften = async (target: Target): Promise<Counts> => {
  const counts = { served: 0, refused: 0, other: 0 }
  await Promise.all(
    Array.from({ length: asked }, async (_, index) => {
      try {
        const client = await connectClient(target, `u${index}`, [])
        counts.served++
        client.close()
      } catch (error) {
        // What the limit answers a handshake with.
        if (error instanceof Error && /HTTP\/1\.1 (429|503)/.test(error.message)) counts.refused++
        else counts.other++
      }
    })
  )
  return counts
}
