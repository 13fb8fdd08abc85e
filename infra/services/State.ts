/**
 * What runs in a data directory, in one file: addresses, logins, and how each process is found and started again. It is
 * written before a process is started, so that whoever comes later can end what an interrupted start has left. Only its
 * owner may read it, for the passwords.
 */
import { randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as delay } from "node:timers/promises"
import type { Launch } from "./Process.ts"
import type { Origin } from "./Program.ts"
import { ServicesError } from "./ServicesError.ts"

export const serviceNames = ["nats", "cassandra", "redis"] as const
export type ServiceName = (typeof serviceNames)[number]

export interface NodeState {
  /** Such as `nats-1`. */
  readonly name: string
  readonly service: ServiceName
  readonly host: string
  /** By what they are for; `client` is the one that clients use. */
  readonly ports: Readonly<Record<string, number>> & { readonly client: number }
  readonly launch: Launch
  /** The start that it ends with; none if it stays when that program has ended. */
  readonly owner?: string
}

export interface State {
  readonly version: 1
  readonly origins: Partial<Record<ServiceName, Origin>>
  readonly nodes: ReadonlyArray<NodeState>
  readonly natsServers?: ReadonlyArray<string>
  readonly natsUser?: string
  readonly natsPassword?: string
  readonly natsSystemUser?: string
  readonly natsSystemPassword?: string
  /** `host:port` of each node. */
  readonly cassandraContactPoints?: ReadonlyArray<string>
  readonly cassandraDatacenter?: string
  readonly redisUrl?: string
  /** What stays the same when services of this directory are started again. */
  readonly kept: {
    /** Tells the clusters of this directory from those of others on the machine. */
    readonly clusterName: string
    readonly natsPassword: string
    readonly natsSystemPassword: string
    readonly ports: Readonly<Record<string, number>>
    /** Of how many nodes the data of each service is. */
    readonly counts: Partial<Record<ServiceName, number>>
  }
}

const emptyState = (): State => ({
  version: 1,
  origins: {},
  nodes: [],
  kept: {
    clusterName: `parley-${randomBytes(4).toString("hex")}`,
    natsPassword: randomBytes(18).toString("base64url"),
    natsSystemPassword: randomBytes(18).toString("base64url"),
    ports: {},
    counts: {}
  }
})

export const stateFile = (data: string): string => join(data, "services.json")

/** None if no service was ever started there. */
export const readState = (data: string): State | undefined => {
  const file = stateFile(data)
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw new ServicesError(`${file} can't be read: ${error}`)
  }
  try {
    const state = JSON.parse(text)
    if (state.version === 1 && Array.isArray(state.nodes) && typeof state.kept === "object") return state
  } catch {
    // Said below.
  }
  throw new ServicesError(
    `${file} is not what this version writes: end the services by hand, then remove ${data} or choose another --data.`
  )
}

/** One program at a time changes the state of a directory; all its services start and end through this. */
export class StateWriter {
  readonly data: string
  #state: State

  private constructor(data: string) {
    this.data = data
    this.#state = readState(data) ?? emptyState()
  }

  static async with<A>(data: string, use: (writer: StateWriter) => Promise<A>): Promise<A> {
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const lock = await takeLock(join(data, "services.lock"))
    try {
      return await use(new StateWriter(data))
    } finally {
      lock.close()
    }
  }

  get state(): State {
    return this.#state
  }

  change(next: (state: State) => State): void {
    this.#state = next(this.#state)
    const file = stateFile(this.data)
    writeFileSync(`${file}.new`, `${JSON.stringify(this.#state, null, 2)}\n`, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
}

const lockPollMs = 200
/** A start that installs Cassandra first. */
const lockMsMax = 1_200_000

/** SQLite's lock, which the system gives back when its holder ends, however that is. */
const takeLock = async (file: string): Promise<DatabaseSync> => {
  const database = new DatabaseSync(file, { timeout: 0 })
  const end = performance.now() + lockMsMax
  for (;;) {
    try {
      database.exec("BEGIN EXCLUSIVE")
      return database
    } catch (error) {
      const busy = error instanceof Error && /locked|busy/.test(error.message)
      if (!busy || performance.now() >= end) {
        database.close()
        throw new ServicesError(
          `${file} is held by another program that starts or ends services there: wait for it, or end it. (${error})`
        )
      }
      await delay(lockPollMs)
    }
  }
}
