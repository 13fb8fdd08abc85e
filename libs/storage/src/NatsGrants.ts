/**
 * What a user at NATS may publish and subscribe to, as lists of subjects; what is in none is refused by the server. Each
 * part of Parley that talks to NATS states what it needs in such a list beside its code (`LogGrants`, `BusGrants`).
 */
export interface NatsGrants {
  readonly publish: ReadonlyArray<string>
  readonly subscribe: ReadonlyArray<string>
}

export const joinGrants = (...all: ReadonlyArray<NatsGrants>): NatsGrants => ({
  publish: [...new Set(all.flatMap(({ publish }) => publish))],
  subscribe: [...new Set(all.flatMap(({ subscribe }) => subscribe))]
})

/** Answers of JetStream come to inboxes of the node; these are its questions about one stream. */
const api = (what: string, stream: string): string => `$JS.API.${what}.${stream}`

/** Makes the stream or finds it, and reads of it what its leader has. */
export const streamGrants = (stream: string): ReadonlyArray<string> => [
  api("STREAM.INFO", stream),
  api("STREAM.CREATE", stream),
  api("STREAM.UPDATE", stream),
  api("STREAM.MSG.GET", stream)
]

/** Finds a stream that is there, and reads of it what its leader has. */
export const streamReaderGrants = (stream: string): ReadonlyArray<string> => [
  api("STREAM.INFO", stream),
  api("STREAM.MSG.GET", stream)
]

/** Watches a bucket: a consumer of the server's, its end, and the answers to its flow control. */
export const watchGrants = (stream: string): ReadonlyArray<string> => [
  `${api("CONSUMER.CREATE", stream)}.>`,
  `${api("CONSUMER.INFO", stream)}.*`,
  `${api("CONSUMER.DELETE", stream)}.*`,
  `$JS.FC.${stream}.>`
]

/** Whether there is JetStream, which its client asks first. */
export const jetStreamGrants: ReadonlyArray<string> = ["$JS.API.INFO"]
