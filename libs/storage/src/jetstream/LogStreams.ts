/**
 * Where the log lies in JetStream: names of streams, subjects and buckets, all under one prefix, and which shard is in
 * which stream. A shard is one subject; shard `s` of a log over `n` streams is in stream `s mod n`, for ever: with
 * another `n` its records would not be found, so `ClusterMap` keeps it.
 */

/** Shards that a log may have; a consumer's positions in all of them are read in one request of at most so many. */
export const shardsMax = 1_024
/** Streams that a log may be spread over. */
export const streamsMax = 64

const prefixShape = /^[A-Za-z0-9_-]{1,64}$/
const consumerShape = /^[A-Za-z0-9_-]{1,64}$/

export class LogStreams {
  readonly prefix: string
  readonly count: number
  readonly shards: number
  /** The stream names, by number. */
  readonly names: ReadonlyArray<string>
  readonly positionsBucket: string
  readonly clusterBucket: string

  constructor(prefix: string, count: number, shards: number) {
    if (!prefixShape.test(prefix)) throw new RangeError(`a prefix is letters, digits, "-" and "_" only: ${prefix}`)
    if (!Number.isInteger(count) || count < 1 || count > streamsMax) {
      throw new RangeError(`a log lies in 1 to ${streamsMax} streams, not in ${count}`)
    }
    if (!Number.isInteger(shards) || shards < 1 || shards > shardsMax) {
      throw new RangeError(`a log has 1 to ${shardsMax} shards, not ${shards}`)
    }
    this.prefix = prefix
    this.shards = shards
    this.count = count
    this.names = Array.from({ length: count }, (_, stream) => `${prefix}-log-${stream}`)
    this.positionsBucket = `${prefix}-positions`
    this.clusterBucket = `${prefix}-cluster`
  }

  /** Owners number shards from 1 to `shards`. */
  streamOf(shard: number): number {
    if (!Number.isInteger(shard) || shard < 0 || shard > this.shards) {
      throw new RangeError(`shard ${shard} is not one of 1 to ${this.shards}`)
    }
    return shard % this.count
  }

  nameOf(shard: number): string {
    const name = this.names[this.streamOf(shard)]
    if (name === undefined) throw new RangeError(`no stream for shard ${shard}`)
    return name
  }

  subjectOf(shard: number): string {
    return `${this.prefix}.log.${this.streamOf(shard)}.${shard}`
  }

  /** All subjects of a stream, by its number. */
  subjectsOf(stream: number): string {
    return `${this.prefix}.log.${stream}.*`
  }

  shardOf(subject: string): number {
    return Number(subject.slice(subject.lastIndexOf(".") + 1))
  }

  /** Where a consumer's position in a shard is; in all shards for "*". */
  positionSubject(consumer: string, shard: number | "*"): string {
    if (!consumerShape.test(consumer)) throw new RangeError(`not a consumer's name: ${consumer}`)
    return `$KV.${this.positionsBucket}.${consumer}.${shard}`
  }
}
