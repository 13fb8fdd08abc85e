/**
 * Every bound and every wait of the client, named once, with its default. An application may set any of them; tests
 * make the waits short.
 */
export const defaultSettings = {
  /** Opening a socket, fetching a token, waiting for hello's answer. */
  connectTimeoutMs: 10_000,
  /** Whether to ask the server which edge to use; and how long each of those asked may take. */
  discoverEdges: true,
  discoverTimeoutMs: 3_000,
  /** An answer that is later than this counts as lost. Above the server's own patience with a moving shard (15 s). */
  requestTimeoutMs: 20_000,
  /** Requests without an answer on one connection; further ones are answered as lost at once. */
  requestsInFlightMax: 512,
  /** Full jitter: a wait is drawn from 0 to `base · 2^attempt`, at most `max`. */
  backoffBaseMs: 1_000,
  backoffMaxMs: 30_000,
  /** Only a connection that lasted this long makes the next wait a first one again. */
  stableAfterMs: 10_000,
  /** What a server may ask a client to wait; longer is cut to this. */
  serverDelayMsMax: 300_000,
  /** New tokens refused in a row before the client stops. */
  tokenRefusalsMax: 5,
  /** A hole in a sequence is given this time to fill (an own ack on its way); then the client syncs. */
  gapWaitMs: 1_500,
  /** Ranges that came out of order and wait in one channel; past it the newest are left to the sync. */
  heldBackMax: 256,
  /** Messages held in a view: looked at, not looked at, and scrolled back by hand. The oldest go first. */
  messagesHeldMax: 500,
  messagesIdleMax: 100,
  messagesScrolledMax: 5_000,
  /** Edits and deletes remembered while a page of history is under way. */
  orphansMax: 1_000,
  historyPageRows: 50,
  /** Unsettled mutations, and their size as JSON characters; past either, a mutation is refused by the client. */
  outboxEntriesMax: 1_000,
  outboxCharsMax: 1_000_000,
  /** Mutations on the wire at once, over all channels; one a channel. */
  outboxInFlightMax: 16,
  /** Storage is written at most this often. */
  storageIntervalMs: 100,
  /** One `read` and one `delivered` a channel in this time. */
  readIntervalMs: 1_000,
  /** What arrived is told after this: if it was read by then, `read` says it all. */
  deliveredGatherMs: 300,
  /** Between two of them, whatever the channel: many channels must not look like a flood. */
  readSpacingMs: 50,
  /** Changes of the watched users are gathered for this long. */
  presenceGatherMs: 50,
  /** Whether the client tells the members of small channels what arrived on this device. */
  reportDelivered: true
}

export type ClientSettings = Readonly<typeof defaultSettings>
