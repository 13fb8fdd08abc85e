/**
 * The configuration of a nats-server as an object, and its text. Only what Parley uses, security included: accounts, users
 * by password or nkey with permissions, TLS. Every string is quoted, since nats-server takes `2m` for two million and
 * `$x` for a variable.
 */
import { ServicesError } from "./ServicesError.ts"

export interface NatsPermission {
  readonly allow?: ReadonlyArray<string>
  readonly deny?: ReadonlyArray<string>
}

export type NatsUser = ({ readonly user: string; readonly password: string } | { readonly nkey: string }) & {
  readonly permissions?: {
    readonly publish?: NatsPermission
    readonly subscribe?: NatsPermission
    /** Answers to requests that came in are allowed, whatever else is not. */
    readonly allowResponses?: boolean
  }
}

export interface NatsAccount {
  readonly name: string
  readonly jetStream: boolean
  readonly users: ReadonlyArray<NatsUser>
}

export interface NatsTls {
  readonly certificateFile: string
  readonly keyFile: string
  readonly authorityFile?: string
  /** Clients have to show a certificate that the authority signed. */
  readonly verify?: boolean
}

export interface NatsServerConfig {
  readonly serverName: string
  readonly host: string
  readonly port: number
  /** The monitor has no login: loopback only. */
  readonly monitor: { readonly host: string; readonly port: number }
  readonly maxPayloadBytes: number
  readonly jetStream: {
    readonly storeFolder: string
    readonly memoryBytesMax: number
    readonly fileBytesMax: number
    /** `always`, or a duration such as `2m`. */
    readonly syncInterval: string
  }
  readonly cluster?: {
    readonly name: string
    readonly host: string
    readonly port: number
    readonly routes: ReadonlyArray<string>
    readonly tls?: NatsTls
  }
  readonly tls?: NatsTls
  readonly accounts: ReadonlyArray<NatsAccount>
  readonly systemAccount: string
}

export const natsServerConfigText = (config: NatsServerConfig): string => {
  const { cluster, jetStream, monitor, tls } = config
  const entries: ReadonlyArray<readonly [string, unknown]> = [
    ["server_name", config.serverName],
    ["host", config.host],
    ["port", config.port],
    ["http", `${monitor.host}:${monitor.port}`],
    ["max_payload", config.maxPayloadBytes],
    ["tls", tls && tlsBlock(tls)],
    [
      "jetstream",
      {
        store_dir: jetStream.storeFolder,
        max_memory_store: jetStream.memoryBytesMax,
        max_file_store: jetStream.fileBytesMax,
        sync_interval: jetStream.syncInterval
      }
    ],
    [
      "cluster",
      cluster && {
        name: cluster.name,
        listen: `${cluster.host}:${cluster.port}`,
        // Others learn of servers from their own configuration, not of addresses that may be reachable from one host only.
        no_advertise: true,
        routes: cluster.routes,
        tls: cluster.tls && tlsBlock(cluster.tls)
      }
    ],
    ["accounts", Object.fromEntries(config.accounts.map((account) => [account.name, accountBlock(account)]))],
    ["system_account", config.systemAccount]
  ]
  return entries.flatMap(([key, value]) => (value === undefined ? [] : [`${key}: ${valueText(value)}\n`])).join("")
}

const tlsBlock = (tls: NatsTls) => ({
  cert_file: tls.certificateFile,
  key_file: tls.keyFile,
  ca_file: tls.authorityFile,
  verify: tls.verify
})

const accountBlock = (account: NatsAccount) => ({
  jetstream: account.jetStream ? "enabled" : undefined,
  users: account.users.map(({ permissions, ...login }) => ({
    ...login,
    permissions: permissions && {
      publish: permissions.publish,
      subscribe: permissions.subscribe,
      allow_responses: permissions.allowResponses
    }
  }))
})

/** nats-server reads JSON, but for the escapes of control characters, which nothing here needs. */
const valueText = (value: unknown): string => {
  const text = JSON.stringify(value, null, 2)
  if (/\\[bfu]/.test(text.replaceAll("\\\\", ""))) {
    throw new ServicesError(`A name or path in the configuration of nats-server has a control character in it: ${text}`)
  }
  return text
}
