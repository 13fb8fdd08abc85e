/**
 * Whether the NATS servers keep what they acknowledge: their version, and whether each of them syncs before it answers
 * (with the default of two minutes, a power failure takes acknowledged records). Every server is asked, through the
 * system account; one that can't be read is not taken for good.
 */
import { createInbox, type NatsConnection } from "@nats-io/transport-node"
import { Effect } from "effect"
import { connectNats, type NatsOptions, NatsUnavailable } from "./Nats.ts"

/** The oldest server whose answers the log relies on. */
export const serverVersionMin = "2.15.1"
/** Every server of the system answers it, to users of the system account that may ask. */
export const serversQuestion = "$SYS.REQ.SERVER.PING.VARZ"
/** All servers have answered by then, or are not there. */
const answersMsMax = 3_000
/** Servers without a JetStream cluster don't name each other: nobody else answers after so long without another. */
const aloneMs = 500
const systemConnectMsMax = 5_000

/** What a server says of itself. */
export interface ServerFacts {
  readonly name: string
  readonly version: string
  readonly maxPayload: number
  /** Undefined: it has no JetStream. */
  readonly syncAlways: boolean | undefined
  /** All servers of the JetStream cluster that it knows of. */
  readonly peers: ReadonlyArray<string>
}

export interface ServerReport {
  /** Why the servers are not to be trusted with a log; none is good. */
  readonly faults: ReadonlyArray<string>
  /** Servers that were read and sync before they acknowledge. */
  readonly synced: ReadonlyArray<string>
  /** Part of the JetStream cluster, and not read now. */
  readonly silent: ReadonlyArray<string>
}

export const checkServers = (
  log: NatsConnection,
  system: NatsOptions | undefined,
  payloadMin: number
): Effect.Effect<ServerReport> =>
  Effect.gen(function* () {
    const nothing: ServerReport = { faults: [], synced: [], silent: [] }
    // Of the one that this node is connected to as much is known without the system account.
    const own: ServerFacts = {
      name: log.info?.server_name ?? "NATS",
      version: log.info?.version ?? "unknown",
      maxPayload: log.info?.max_payload ?? 0,
      syncAlways: true,
      peers: []
    }
    const ownFaults = reportOf([own], payloadMin).faults
    if (system === undefined) {
      return { ...nothing, faults: [...ownFaults, unreadable("no system account is configured")] }
    }
    return yield* readServers(system).pipe(
      Effect.match({
        onFailure: (failure) => ({ ...nothing, faults: [...ownFaults, unreadable(failure.message)] }),
        onSuccess: (servers) => reportOf(servers, payloadMin)
      })
    )
  })

const unreadable = (why: string): string =>
  `sync_interval can't be read from every NATS server: ${why}. Give this node a user of NATS's system account, and let all servers run when it starts`
const oldServer = (name: string, version: string): string =>
  `${name} runs nats-server ${version}; ${serverVersionMin} or later is needed`

/** A silent server that is not known to sync is as bad as one that does not. */
export const silentServer = (name: string): string =>
  unreadable(`${name} is part of the JetStream cluster and does not answer`)

export const reportOf = (servers: ReadonlyArray<ServerFacts>, payloadMin: number): ServerReport => {
  const answered = new Set(servers.map(({ name }) => name))
  const silent = [...new Set(servers.flatMap(({ peers }) => peers))].filter((peer) => !answered.has(peer))
  const withLog = servers.filter(({ syncAlways }) => syncAlways !== undefined)
  const faults: Array<string> = []
  if (withLog.length === 0) faults.push("none of the NATS servers that answer has JetStream switched on")
  for (const { maxPayload, name, syncAlways, version } of withLog) {
    if (maxPayload < payloadMin) {
      faults.push(`${name} takes messages of ${maxPayload} bytes: set its max_payload to ${payloadMin} or more`)
    }
    if (older(version, serverVersionMin)) faults.push(oldServer(name, version))
    if (syncAlways !== true) {
      faults.push(`${name} acknowledges before it syncs: set sync_interval: "always" in its jetstream block`)
    }
  }
  return { faults, silent, synced: withLog.filter(({ syncAlways }) => syncAlways === true).map(({ name }) => name) }
}

const readServers = (system: NatsOptions) =>
  Effect.gen(function* () {
    const connection = yield* connectNats({ firstConnectMs: systemConnectMsMax, ...system })
    return yield* Effect.tryPromise({
      try: () => askAll(connection, system.inboxPrefix),
      catch: (cause) => new NatsUnavailable({ servers: system.servers, cause })
    })
  }).pipe(Effect.scoped)

/** Until every server that another one knows of has answered. */
const askAll = (connection: NatsConnection, inboxPrefix?: string): Promise<ReadonlyArray<ServerFacts>> =>
  new Promise((resolve, reject) => {
    const inbox = createInbox(inboxPrefix)
    const answers = new Map<string, ServerFacts>()
    const end = (): void => {
      clearTimeout(timer)
      clearTimeout(alone)
      subscription.unsubscribe()
      resolve([...answers.values()])
    }
    const timer = setTimeout(end, answersMsMax)
    let alone: NodeJS.Timeout | undefined
    const subscription = connection.subscribe(inbox, {
      callback: (error, message) => {
        if (error !== null || message.headers?.code === 503) {
          clearTimeout(timer)
          return reject(error ?? new Error("the system account answers nothing"))
        }
        const facts = factsOf(message.json())
        answers.set(facts.name, facts)
        const peers = [...answers.values()].flatMap(({ peers }) => peers)
        if (peers.length === 0) {
          clearTimeout(alone)
          alone = setTimeout(end, aloneMs)
        } else if (peers.every((peer) => answers.has(peer))) end()
      }
    })
    connection.publish(serversQuestion, "", { reply: inbox })
  })

interface Varz {
  readonly server?: { readonly name?: string; readonly ver?: string }
  readonly data?: {
    readonly version?: string
    readonly max_payload?: number
    readonly jetstream?: {
      readonly config?: { readonly sync_always?: boolean }
      readonly meta?: {
        readonly leader?: string
        readonly replicas?: ReadonlyArray<{ readonly name?: string }>
      }
    }
  }
}

export const factsOf = (answer: unknown): ServerFacts => {
  // as: the server's documented answer; a field that is not there shows as `undefined`.
  const { data, server } = answer as Varz
  const config = data?.jetstream?.config
  const meta = data?.jetstream?.meta
  const name = server?.name ?? "a server without a name"
  return {
    name,
    version: data?.version ?? server?.ver ?? "unknown",
    maxPayload: data?.max_payload ?? 0,
    syncAlways: config === undefined ? undefined : config.sync_always === true,
    peers: [meta?.leader, ...(meta?.replicas ?? []).map((replica) => replica.name)].filter((peer) => peer !== undefined)
  }
}

/** By the numbers; what is no version counts as old. */
export const older = (version: string, than: string): boolean => {
  const numbers = (text: string): ReadonlyArray<number> => text.split("-")[0]?.split(".").map(Number) ?? []
  const [have, want] = [numbers(version), numbers(than)]
  for (let i = 0; i < want.length; i++) {
    const [mine = Number.NaN, least = 0] = [have[i], want[i]]
    if (mine !== least) return !(mine > least)
  }
  return false
}
