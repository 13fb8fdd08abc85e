/**
 * Every limit of the wire, named once. `hello` tells a client those it needs; the rest are derived here so that no
 * two of them can contradict each other. Sizes are bytes of UTF-8 unless the name says otherwise. No imports: the
 * client bundle uses it.
 */
export const Limits = {
  /** One frame from a client. Larger: close 4303. */
  frameBytesMax: 65_536,
  /** One message's text. */
  textBytesMax: 16_384,
  /** A channel's name, and its topic. */
  nameCharsMax: 128,
  topicCharsMax: 1_024,
  /** Users named in one message, one add or one remove. */
  mentionsMax: 64,
  membersPerChangeMax: 100,
  /** Positions in one sync; a client with more sends the most recent ones and lets the server list the rest. */
  syncChannelsMax: 1_000,
  /** Channels in one page of a sync's answer, events of one channel in it, and bytes of the whole page (soft). */
  syncPageChannelsMax: 200,
  syncEventsPerChannelMax: 200,
  syncPageBytesMax: 262_144,
  /** A client further behind than this in one channel is told to reload. */
  syncGapMax: 2_000,
  /** Rows of one page of history. */
  historyLimitMax: 200,
  historyLimitDefault: 50,
  /** Rows of one page of a channel's members. */
  membersLimitMax: 1_000,
  membersLimitDefault: 100,
  /** Channels one connection may watch, users whose presence it may watch. */
  watchesPerConnectionMax: 100,
  presenceWatchesPerConnectionMax: 500,
  /** Depth of JSON in a frame; what is deeper is malformed. */
  jsonDepthMax: 16,
  /** Time for the first frame after the handshake, then for the next sign of life. */
  helloTimeoutMs: 10_000,
  heartbeatMs: 18_000,
  idleTimeoutMs: 28_000,
  /** A client id further ahead of the server's clock than this is refused with the server's time. */
  clientIdAheadMsMax: 300_000,
  /** Client ids are remembered this long; older ones are refused, never executed. */
  idempotencyWindowMs: 7 * 24 * 3_600_000,
  /** A typing sign lives this long on the server unless repeated. */
  typingTtlMs: 6_000,
  /** A client repeats its typing sign at most this often. */
  typingIntervalMs: 3_000,
  /** Members up to which a channel shows who has got and read what. */
  receiptsMembersMax: 32,
  /** Edges that a client is told of at once. */
  edgesListedMax: 8,
  /** Life of a token that development mode gives out. */
  tokenTtlSecondsMax: 30 * 24 * 3_600,
  tokenTtlSecondsDefault: 24 * 3_600
} as const

const told = [
  "frameBytesMax",
  "textBytesMax",
  "nameCharsMax",
  "topicCharsMax",
  "mentionsMax",
  "membersPerChangeMax",
  "syncChannelsMax",
  "historyLimitMax",
  "watchesPerConnectionMax",
  "presenceWatchesPerConnectionMax",
  "jsonDepthMax",
  "idleTimeoutMs",
  "clientIdAheadMsMax",
  "idempotencyWindowMs",
  "typingTtlMs",
  "typingIntervalMs",
  "receiptsMembersMax"
] as const satisfies ReadonlyArray<keyof typeof Limits>

/** How a limit is called on the wire: `frameBytesMax` is `frame_bytes_max`. */
export const wireName = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** The `limits` of hello's answer: those a client needs. */
export const helloLimits: { readonly [name: string]: number } = Object.fromEntries(
  told.map((name) => [wireName(name), Limits[name]])
)
