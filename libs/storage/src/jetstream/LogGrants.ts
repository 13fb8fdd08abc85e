/**
 * What a node that runs shards needs at NATS for the log: to append to it, read it and cut it, and to make its streams and
 * buckets. Not among it: to delete a stream, to remove single records, to restore one over another.
 */
import { jetStreamGrants, type NatsGrants, streamGrants, streamReaderGrants } from "../NatsGrants.ts"
import { LogStreams } from "./LogStreams.ts"
import { serversQuestion } from "./ServerCheck.ts"

/** By the cluster's prefix, and the streams that the log lies in. Answers come below the connection's inbox prefix. */
export const logGrants = (prefix: string, count: number): NatsGrants => {
  const streams = new LogStreams(prefix, count, 1)
  const buckets = [streams.clusterBucket, streams.positionsBucket]
  const all = [...streams.names, ...buckets.map((bucket) => `KV_${bucket}`)]
  return {
    publish: [
      ...jetStreamGrants,
      ...streams.names.map((_name, stream) => streams.subjectsOf(stream)),
      ...buckets.map((bucket) => `$KV.${bucket}.>`),
      ...all.flatMap(streamGrants),
      // Reads in batches, and of a bucket's key: the key is in the subject.
      ...all.flatMap((name) => [`$JS.API.DIRECT.GET.${name}`, `$JS.API.DIRECT.GET.${name}.>`]),
      ...streams.names.map((name) => `$JS.API.STREAM.PURGE.${name}`)
    ],
    subscribe: []
  }
}

/**
 * What a worker needs of it: to read the log, to cut what is consumed, and to write where consumers are. It makes nothing
 * and appends nothing.
 */
export const logReaderGrants = (prefix: string, count: number): NatsGrants => {
  const streams = new LogStreams(prefix, count, 1)
  const positions = `KV_${streams.positionsBucket}`
  const all = [...streams.names, positions]
  return {
    publish: [
      ...jetStreamGrants,
      `$KV.${streams.positionsBucket}.>`,
      ...[...all, `KV_${streams.clusterBucket}`].flatMap(streamReaderGrants),
      ...all.flatMap((name) => [`$JS.API.DIRECT.GET.${name}`, `$JS.API.DIRECT.GET.${name}.>`]),
      ...streams.names.map((name) => `$JS.API.STREAM.PURGE.${name}`)
    ],
    subscribe: []
  }
}

/** Of a user of NATS's system account: it asks every server how it keeps what it acknowledges, and nothing else. */
export const systemGrants = (answersBelow: string): NatsGrants => ({
  publish: [serversQuestion],
  subscribe: [`${answersBelow}.>`]
})
