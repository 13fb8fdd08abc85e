/**
 * The users of a cluster at NATS: an nkey for each node and one for the system account, with the permissions of what it
 * does. Seeds are files that only their owner may read; one that is there is kept, so that nodes can be added. Nothing
 * secret is in what nats-server is configured with: it knows public keys.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { nkeys } from "@nats-io/transport-node"
import { Schema } from "effect"
import { edgeGrants, natsPermissions, runnerGrants, systemUserGrants, workerGrants } from "../NatsGrants.ts"

export interface NatsUsersOptions {
  readonly cluster: string
  readonly runners: ReadonlyArray<string>
  readonly edges: ReadonlyArray<string>
  readonly workers?: ReadonlyArray<string>
  readonly streams: number
  /** Where seeds are. */
  readonly keys: string
}

/** What was asked for makes no cluster. */
export class NatsUsersRefused extends Schema.TaggedError<NatsUsersRefused>()("NatsUsersRefused", {
  why: Schema.String
}) {
  override get message() {
    return this.why
  }
}

export interface NatsKeyUser {
  /** The node, or `system`. */
  readonly name: string
  readonly nkey: string
  readonly permissions: ReturnType<typeof natsPermissions>
}

export interface NatsUsers {
  readonly nodes: ReadonlyArray<NatsKeyUser>
  readonly system: NatsKeyUser
  /** Seeds that were not there. */
  readonly made: ReadonlyArray<string>
}

const systemName = "system"
/** A node's name that can be a file's. */
const nameShape = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const clusterShape = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/

export const seedFile = (keys: string, name: string): string => join(keys, `${name}.nk`)

/** Throws what can't be meant so, before any file is written. */
export const makeNatsUsers = (options: NatsUsersOptions): NatsUsers => {
  const { cluster, edges, keys, runners, streams, workers = [] } = options
  check(options)
  mkdirSync(keys, { recursive: true, mode: 0o700 })
  const made: Array<string> = []
  const userOf = (name: string, grants: Parameters<typeof natsPermissions>[0]): NatsKeyUser => ({
    name,
    nkey: publicKey(seedFile(keys, name), (file) => made.push(file)),
    permissions: natsPermissions(grants)
  })
  return {
    nodes: [
      ...runners.map((node) => userOf(node, runnerGrants({ cluster, node, streams }))),
      ...edges.map((node) => userOf(node, edgeGrants({ cluster, node }))),
      ...workers.map((node) => userOf(node, workerGrants({ cluster, node, streams })))
    ],
    system: userOf(systemName, systemUserGrants({ cluster })),
    made
  }
}

const check = ({ cluster, edges, runners, workers = [] }: NatsUsersOptions): void => {
  const refuse = (why: string) => {
    throw new NatsUsersRefused({ why })
  }
  if (!clusterShape.test(cluster)) refuse(`--cluster is "${cluster}": 1 to 32 of a-z, 0-9 and -, not at its ends`)
  const names = [...runners, ...edges, ...workers]
  if (runners.length === 0) refuse("--runners names no node: somebody has to run the shards")
  const wrong = names.find((name) => !nameShape.test(name) || name === systemName)
  if (wrong !== undefined) refuse(`"${wrong}" can't name a node here: 1 to 64 letters, digits, ".", "_" or "-"`)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined)
    refuse(`${twice} is named twice: a node that runs shards may be an edge and a worker as it is`)
}

const publicKey = (file: string, made: (file: string) => void): string => {
  if (!existsSync(file)) {
    writeFileSync(file, Buffer.from(nkeys.createUser().getSeed()), { mode: 0o600, flag: "wx" })
    made(file)
  }
  chmodSync(file, 0o600)
  try {
    return nkeys.fromSeed(Buffer.from(readFileSync(file, "utf8").trim())).getPublicKey()
  } catch {
    throw new NatsUsersRefused({ why: `${file} has no seed of an nkey in it: remove it, and a new one is made` })
  }
}

/** Lines of nats-server's configuration; it reads JSON. */
export const natsAccountsText = ({ nodes, system }: NatsUsers): string => {
  const user = ({ nkey, permissions }: NatsKeyUser) => ({ nkey, permissions })
  const accounts = {
    PARLEY: { jetstream: "enabled", users: nodes.map(user) },
    SYS: { users: [user(system)] }
  }
  return `accounts: ${JSON.stringify(accounts, null, 2)}\nsystem_account: "SYS"\n`
}
