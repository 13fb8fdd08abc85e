/** The real NATS servers that tests use, and names of their own in them. */
import { randomBytes } from "node:crypto"
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { Layer, Logger, Redacted } from "effect"
import { JetStreamEventLog } from "../../src/jetstream/JetStreamEventLog.ts"
import type { JetStreamSetupOptions } from "../../src/jetstream/JetStreamSetup.ts"
import { Nats } from "../../src/jetstream/Nats.ts"
import { natsOptionsNow } from "../Services.ts"

/** The servers under test: three with JetStream, which sync always. */
export const natsServers = (): ReadonlyArray<string> => natsOptionsNow().servers

/** As the log's own connections are made. */
export const natsLogin = () => {
  const { pass, user } = natsOptionsNow()
  return user === undefined ? {} : { user, password: Redacted.make(pass ?? "") }
}

/** A prefix that no other test has. */
export const ownPrefix = (): string => `test-js-${randomBytes(5).toString("hex")}`

/** Streams and buckets of a test, by prefix. */
export const removeStreams = async (prefix: string): Promise<void> => {
  const connection = await connect(natsOptionsNow())
  const manager = await jetstreamManager(connection)
  for await (const name of manager.streams.names()) {
    if (name.startsWith(prefix) || name.startsWith(`KV_${prefix}`)) await manager.streams.delete(name)
  }
  await connection.close()
}

/** The servers under test have no system account: only that is not safe about this log. */
export const logLayer = (options: Partial<JetStreamSetupOptions> & { readonly prefix: string }) =>
  JetStreamEventLog.layerSetup({
    streams: 1,
    shards: 16,
    softBytes: 8_000_000,
    hardBytes: 9_000_000,
    unsafe: true,
    ...options
  }).pipe(
    Layer.provideMerge(Nats.layer({ servers: natsServers(), name: "test", ...natsLogin() })),
    Layer.provide(Logger.layer([]))
  )
