/** What each limit of the wire means, with its unit, for the limits table. A limit without a row is a type error. */
import type { Limits } from "@parley/protocol/Limits"

export interface LimitMeaning {
  readonly unit: string
  readonly meaning: string
}

export const limitMeanings: { readonly [Name in keyof typeof Limits]: LimitMeaning } = {
  frameBytesMax: { unit: "bytes", meaning: "One frame from a client. A larger one closes the connection with 4303." },
  textBytesMax: { unit: "bytes of UTF-8", meaning: "One message's text." },
  nameCharsMax: { unit: "UTF-16 code units", meaning: "A channel's name, a user's name." },
  topicCharsMax: { unit: "UTF-16 code units", meaning: "A channel's topic." },
  mentionsMax: { unit: "users", meaning: "Users named in one message." },
  membersPerChangeMax: { unit: "users", meaning: "Users named in one create, add or remove." },
  syncChannelsMax: {
    unit: "channels",
    meaning:
      "Positions named in one sync. A client with more names the most recent ones; the others are answered as new. The frame's own limit counts as well."
  },
  syncPageChannelsMax: { unit: "channels", meaning: "Channels in one page of a sync's answer." },
  syncEventsPerChannelMax: { unit: "events", meaning: "Events of one channel in one page of a sync's answer." },
  syncPageBytesMax: {
    unit: "bytes",
    meaning: "One page of a sync's answer; the channel that reaches it is still finished."
  },
  syncGapMax: {
    unit: "events",
    meaning: "A device that is further behind than this in a channel may be told to reload."
  },
  historyLimitMax: { unit: "messages", meaning: "Largest `limit` of history." },
  historyLimitDefault: { unit: "messages", meaning: "`limit` of history where none is given." },
  membersLimitMax: { unit: "members", meaning: "Largest `limit` of a list of members." },
  membersLimitDefault: { unit: "members", meaning: "`limit` of a list of members where none is given." },
  watchesPerConnectionMax: { unit: "channels", meaning: "Channels that one connection watches." },
  presenceWatchesPerConnectionMax: { unit: "users", meaning: "Users whose presence one connection follows." },
  jsonDepthMax: {
    unit: "levels",
    meaning: "Objects and arrays inside each other in a frame; what is deeper is `malformed`."
  },
  helloTimeoutMs: { unit: "ms", meaning: "Time from the handshake to `hello`. Later: close 4300." },
  heartbeatMs: {
    unit: "ms",
    meaning: "A client that sent nothing for this long sends a `ping`. Told as `heartbeat_ms` in hello's answer."
  },
  idleTimeoutMs: {
    unit: "ms",
    meaning: "After this much silence either side takes the other for dead. The server closes with 4001."
  },
  clientIdAheadMsMax: {
    unit: "ms",
    meaning: "A client id this far ahead of the server's clock is still taken; further ahead: `id_ahead`."
  },
  idempotencyWindowMs: {
    unit: "ms",
    meaning: "Client ids are known for this long; older ones: `id_expired`, never executed."
  },
  typingTtlMs: { unit: "ms", meaning: "A typing sign lives this long unless it is repeated." },
  typingIntervalMs: { unit: "ms", meaning: "A client repeats its typing sign at most this often." },
  receiptsMembersMax: {
    unit: "members",
    meaning: "Up to so many members a channel shows who got and read what: `receipts` in its head, and push `receipt`."
  },
  edgesListedMax: { unit: "edges", meaning: "Addresses in one answer about where to connect." },
  tokenTtlSecondsMax: { unit: "s", meaning: "Longest life of a token from development mode." },
  tokenTtlSecondsDefault: { unit: "s", meaning: "Life of a token from development mode where none is asked for." }
}
