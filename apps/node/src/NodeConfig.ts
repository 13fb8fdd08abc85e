/**
 * Every setting of a node: name, default, unit and a sentence, in one table. Values come from flags (`--port 8080`)
 * over the environment (`PARLEY_PORT=8080`) over the defaults, a secret's also from a file (`PARLEY_AUTH_SECRET_FILE`);
 * `docs/configuration.md` is generated from the table. A value that makes no sense stops the start with an error that
 * names the setting.
 */
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { readFileSync } from "node:fs"
import { checkClusterSettings, clusterSettings } from "./ClusterSettings.ts"
import { count, flag, isGiven, list, oneOf, secret, type Setting, text } from "./Setting.ts"

/** A setting's value can't be used. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  setting: Schema.String,
  value: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `${this.setting} is "${this.value}": ${this.why}`
  }
}

export const settings = {
  host: text("127.0.0.1", "Address to listen on; 0.0.0.0 for all. Development mode listens on loopback only."),
  port: count(8080, "port", 0, 65_535, "Port for WebSocket and HTTP; 0 takes a free one."),
  data: text("data", "Directory of the embedded log, store and keys."),
  name: text("", "Name of this node in a cluster, also to NATS's permissions; empty: the host's name."),
  mode: oneOf(
    "production",
    ["production", "development"],
    "Development hands a token to whoever asks, on loopback only."
  ),
  logLevel: oneOf("info", ["debug", "info", "warn", "error"], "Least severity that is logged."),

  authSecret: secret("Secret of HS256 tokens, at least 32 bytes."),
  authPublicKey: text("", "File with an Ed25519 public key (SPKI, PEM) for EdDSA tokens."),
  authJwks: text("", "File or https address of a JWKS with the keys that sign tokens (http: on this machine only)."),
  authIssuer: text("", "The `iss` that tokens must have; empty: any."),
  authAudience: text("", "The `aud` that tokens must have; empty: any."),
  apiKeyHashes: list(
    "SHA-256 (hex) of each API key that servers may use; a key acts for any user.",
    /^[0-9a-f]{64}$/,
    "64 hexadecimal digits, lower case"
  ),
  origins: list(
    "Origins that browsers may connect from. Empty: the server's own host only; * lets any in.",
    /^(\*|https?:\/\/[^/\s]+)$/,
    "an origin such as https://chat.example.com"
  ),
  trustedProxies: list("Addresses of proxies whose X-Forwarded-For is believed.", /^[0-9a-fA-F.:]+$/, "an IP address"),

  helloTimeoutMs: count(10_000, "ms", 10, 60_000, "Time for the first frame after the handshake."),
  idleTimeoutMs: count(
    28_000,
    "ms",
    100,
    600_000,
    "Silence after which a connection is closed; clients show themselves at 18/28 of it."
  ),
  connectionsMax: count(
    100_000,
    "connections",
    1,
    10_000_000,
    "Connections this node takes; further ones are answered 503."
  ),
  unauthenticatedPerAddressMax: count(
    256,
    "connections",
    1,
    1_000_000,
    "Connections of one address that have not said hello."
  ),
  socketsPerAddressMax: count(
    1_024,
    "connections",
    1,
    1_000_000,
    "TCP connections of one address that are not WebSockets (yet)."
  ),
  connectsPerAddressPerSecond: count(
    200,
    "per second",
    1,
    1_000_000,
    "New connections of one address, after a burst of five times as many."
  ),
  outboundSoftBytes: count(
    262_144,
    "bytes",
    1_024,
    1 << 30,
    "Unsent bytes of a connection past which ephemeral frames are dropped."
  ),
  outboundHardBytes: count(
    1_048_576,
    "bytes",
    4_096,
    1 << 30,
    "Unsent bytes of a connection past which it is closed as a slow consumer."
  ),
  framesPerSecond: count(100, "per second", 1, 1_000_000, "Frames of one connection, after a burst of twice as many."),
  sendsPerSecond: count(
    20,
    "per second",
    1,
    1_000_000,
    "Messages and edits of one user, after a burst of twice as many."
  ),
  mutationsPerSecond: count(
    10,
    "per second",
    1,
    1_000_000,
    "Other changes of one user, after a burst of twice as many."
  ),
  readsPerSecond: count(
    50,
    "per second",
    1,
    1_000_000,
    "Syncs, history pages and cursor moves of one user, after a burst of twice as many."
  ),
  ephemeralPerSecond: count(
    10,
    "per second",
    1,
    1_000_000,
    "Typing and presence signs of one user, after a burst of twice as many."
  ),
  rateTableMax: count(200_000, "buckets", 100, 10_000_000, "Rate buckets kept; full ones go first."),
  floodStrikesMax: count(
    100,
    "refusals",
    1,
    1_000_000,
    "Refusals in a row after which a connection is closed for flooding."
  ),
  eventLoopLagMs: count(
    500,
    "ms",
    10,
    60_000,
    "Lag of the event loop past which changes and new connections are refused as overloaded."
  ),
  presenceReportMs: count(1_000, "ms", 10, 60_000, "Interval of presence reports to the presence shards."),
  detachGraceMs: count(
    30_000,
    "ms",
    0,
    3_600_000,
    "How long interest in a topic is kept after the last connection that wanted it."
  ),
  drainWindowMs: count(10_000, "ms", 0, 600_000, "Window over which a stopping node's clients are told to move."),
  drainDeadlineMs: count(20_000, "ms", 0, 600_000, "Time after which a stopping node closes what is left."),
  httpBodyBytesMax: count(131_072, "bytes", 1_024, 1 << 26, "Largest HTTP request body."),

  shards: count(8, "shards", 1, 8_191, "Shards of the cluster; fixed when the data directory is made (†2)."),
  commitWindowMs: count(3, "ms", 0, 1_000, "Least time between two commits of the log under load."),
  logSoftBytes: count(
    1_073_741_824,
    "bytes",
    1_048_576,
    1_099_511_627_776,
    "Size of the embedded log at which sends are refused; at least 1 MiB a shard."
  ),
  logHardBytes: count(
    1_342_177_280,
    "bytes",
    2_097_152,
    1_099_511_627_776,
    "Size of the embedded log at which even checkpoints are (†28)."
  ),
  residentBytes: count(
    268_435_456,
    "bytes",
    1_048_576,
    1_099_511_627_776,
    "Memory for resident channels and sessions, and as much again for warm ones."
  ),
  fanoutThreshold: count(
    200,
    "members",
    1,
    1_000_000,
    "Members up to which every member's devices get every event of a channel."
  ),
  logSynchronous: oneOf(
    "FULL",
    ["FULL", "NORMAL", "OFF"],
    "How SQLite syncs the log. Anything but FULL loses acknowledged messages when the power goes; needs --unsafe-log."
  ),
  unsafeLog: flag(false, "Allows settings that break the promises of the log; for tests only."),
  testFault: oneOf(
    "none",
    ["none", "ack-before-commit", "forget-ids", "lose-last-link", "stall", "next-release", "next-release-alone"],
    "Builds a known defect in, for tests of the tests, or speaks as the release after this one; needs --unsafe-log."
  ),

  ...clusterSettings
} as const

type SettingName = keyof typeof settings
type ValueOf<S> = S extends Setting<infer A> ? A : never
export type NodeSettings = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]> }

/** `unauthenticatedPerAddressMax` is `PARLEY_UNAUTHENTICATED_PER_ADDRESS_MAX` in the environment. */
export const environmentName = (name: string): string => `PARLEY_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`
/** …and `--unauthenticated-per-address-max` as a flag. */
export const flagName = (name: string): string => `--${name.replace(/[A-Z]/g, "-$&").toLowerCase()}`

// The keys of a const object literal.
const names = Object.keys(settings) as ReadonlyArray<SettingName>

/** The rows of docs/configuration.md. */
export const settingsTable = names.map((name) => {
  const { fallback, secret, sentence, unit } = settings[name]
  const shown = secret ? "" : String(fallback)
  return { flag: flagName(name), environment: environmentName(name), default: shown, unit, sentence, secret }
})

export interface ConfigSources {
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** By flag name without dashes, or by setting name. */
  readonly flags?: Readonly<Record<string, string | undefined>>
}

/** Reads all settings; the first that can't be used fails. */
export const readSettings = (sources: ConfigSources): Effect.Effect<NodeSettings, ConfigInvalid> =>
  Effect.gen(function* () {
    const values: Record<string, unknown> = {}
    for (const name of names) {
      const flag = sources.flags?.[name] ?? sources.flags?.[flagName(name).slice(2)]
      const given = flag ?? sources.environment?.[environmentName(name)] ?? (yield* fromFile(name, sources))
      const parsed = given === undefined ? { value: settings[name].fallback } : settings[name].parse(given)
      if ("why" in parsed) {
        return yield* invalid(
          flag === undefined ? environmentName(name) : flagName(name),
          name,
          given ?? "",
          parsed.why
        )
      }
      values[name] = parsed.value
    }
    // Each name has just got a value of its own setting.
    return yield* checkTogether(values as NodeSettings)
  })

/** A secret that is in a file: what orchestrators mount, and `ps` and crash reports do not show. */
const fromFile = (
  name: SettingName,
  { environment }: ConfigSources
): Effect.Effect<string | undefined, ConfigInvalid> => {
  const setting = `${environmentName(name)}_FILE`
  const file = settings[name].secret ? environment?.[setting] : undefined
  if (file === undefined) return Effect.succeed(undefined)
  return Effect.try({
    try: () => readFileSync(file, "utf8").replace(/\r?\n$/, ""),
    catch: (cause) => new ConfigInvalid({ setting, value: file, why: `it can't be read: ${String(cause)}` })
  })
}

const invalid = (setting: string, name: SettingName, value: string, why: string) =>
  new ConfigInvalid({
    setting,
    value: settings[name].secret ? "(hidden)" : withoutLogins(value),
    why: withoutLogins(why)
  })

/** Who puts a password into an address against all advice is told so without it. */
const withoutLogins = (text: string): string => text.replaceAll(/\/\/[^/\s,"]*@/g, "//(hidden)@")

/** Whether an address can only be reached from this machine. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

/** Whether keys come over the network. */
export const isAddress = (source: string): boolean => /^https?:\/\//.test(source)

/** Whoever could change an answer on its way could sign tokens for anybody. */
const isTrustedAddress = (source: string): boolean => {
  const url = URL.parse(source)
  return url !== null && (url.protocol === "https:" || isLoopback(url.hostname.replace(/^\[(.*)\]$/, "$1")))
}

/** The largest checkpoint, and a little: each shard's last one is never cut. */
const shardLogBytesMin = 1_048_576

/** What a single setting can't see. */
const checkTogether = (values: NodeSettings): Effect.Effect<NodeSettings, ConfigInvalid> => {
  const fail = (name: SettingName, why: string) => Effect.fail(invalid(flagName(name), name, String(values[name]), why))
  if (values.mode === "development" && !isLoopback(values.host)) {
    return fail("host", "development mode gives tokens to anybody, so it listens on a loopback address only")
  }
  if (isGiven(values.authSecret) && Buffer.byteLength(Redacted.value(values.authSecret)) < 32) {
    return fail("authSecret", "an HS256 secret needs at least 32 bytes")
  }
  if (
    values.mode === "production" &&
    !isGiven(values.authSecret) &&
    values.authPublicKey === "" &&
    values.authJwks === ""
  ) {
    return fail("mode", "production needs --auth-secret, --auth-public-key or --auth-jwks to check tokens with")
  }
  if (isAddress(values.authJwks) && !isTrustedAddress(values.authJwks)) {
    return fail("authJwks", "a JWKS comes from a file, over https, or over http from this machine")
  }
  if (values.outboundSoftBytes > values.outboundHardBytes) {
    return fail("outboundSoftBytes", "it may not be above --outbound-hard-bytes")
  }
  const ofCluster = checkClusterSettings(values)
  if (ofCluster !== undefined) return fail(...ofCluster)
  if (values.logSoftBytes < values.shards * shardLogBytesMin) {
    return fail(
      "logSoftBytes",
      `it needs ${shardLogBytesMin} bytes a shard: each one's last checkpoint stays in the log`
    )
  }
  if (values.logSoftBytes >= values.logHardBytes) return fail("logSoftBytes", "it must be below --log-hard-bytes")
  if (values.logSynchronous !== "FULL" && !values.unsafeLog) {
    return fail(
      "logSynchronous",
      "this loses acknowledged messages when the power goes; if that is what you want, add --unsafe-log"
    )
  }
  if (values.testFault !== "none" && !values.unsafeLog) return fail("testFault", "it needs --unsafe-log")
  if (values.drainWindowMs > values.drainDeadlineMs)
    return fail("drainWindowMs", "it may not be above --drain-deadline-ms")
  return Effect.succeed(values)
}

export class NodeConfig extends Context.Service<NodeConfig, NodeSettings>()("@parley/node/NodeConfig") {
  static readonly layer = (sources: ConfigSources): Layer.Layer<NodeConfig, ConfigInvalid> =>
    Layer.effect(NodeConfig, readSettings(sources))

  /** Development settings on a free port, with overrides. */
  static readonly layerTest = (overrides: Partial<NodeSettings> = {}): Layer.Layer<NodeConfig, ConfigInvalid> =>
    Layer.effect(
      NodeConfig,
      readSettings({ flags: { mode: "development", port: "0" } }).pipe(
        Effect.map((read) => ({ ...read, ...overrides }))
      )
    )
}
