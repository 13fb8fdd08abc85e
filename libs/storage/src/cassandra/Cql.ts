/**
 * The only statements that Parley asks Cassandra: reads of one partition, and writes of values with a timestamp. There
 * is no way here to make a write without one (†32), a delete, a lightweight transaction or a read that filters; the
 * tables of a keyspace are named without it. Pure, no Effect: a write is made for every row of the write-behind.
 */

import type { EventPlace } from "../Directory.ts"

/** What a column may be given; a Buffer is a blob, or encoded already. Never null: that would be a tombstone. */
export type Value = string | number | bigint | boolean | Buffer

export interface Select {
  readonly cql: string
}

/** A statement of a batch, with what it writes. Made by `Upsert.at` only. */
export interface Write {
  readonly query: string
  /** Emptied by who made it when it is written (`PartitionBatches.letGo`). */
  readonly params: Array<Value>
  /** Where in `params` the partition key is. */
  readonly partition: { readonly from: number; readonly to: number }
}

const filters = /\bALLOW\s+FILTERING\b/i

/** A read. The text is a constant of the program, what is asked for goes into its `?`. */
export const select = (cql: string): Select => {
  if (!/^\s*SELECT\s/i.test(cql) || filters.test(cql) || !/\bWHERE\b/i.test(cql)) {
    throw new TypeError(`not a read of a partition: ${cql}`)
  }
  return { cql }
}

const name = /^[a-z][a-z0-9_]*$/

export interface UpsertShape {
  readonly table: string
  /** The primary key, partition first. */
  readonly key: ReadonlyArray<string>
  /** So many of its columns are the partition's; one, if nothing is said. */
  readonly partitionColumns?: number
  /** The columns it sets; other writes may own other columns of the row. */
  readonly set: ReadonlyArray<string>
  /** Only for rows that nobody misses once their time is over. */
  readonly ttlSeconds?: number
}

/** Sets columns of one row, which need not be there. */
export class Upsert {
  readonly cql: string
  readonly #valueCount: number
  readonly #partition: Write["partition"]

  constructor({ key, partitionColumns = 1, set, table, ttlSeconds }: UpsertShape) {
    for (const word of [table, ...key, ...set]) {
      if (!name.test(word)) throw new TypeError(`not a name: ${word}`)
    }
    const ttl = ttlSeconds === undefined ? "" : ` AND TTL ${Math.ceil(ttlSeconds)}`
    const equal = (column: string): string => `${column} = ?`
    this.cql = `UPDATE ${table} USING TIMESTAMP ?${ttl} SET ${set.map(equal).join(", ")} WHERE ${key.map(equal).join(" AND ")}`
    this.#valueCount = set.length + key.length
    // After the timestamp.
    const from = 1 + set.length
    this.#partition = { from, to: from + partitionColumns }
  }

  /** With the values of `set`, then of `key`. A smaller timestamp than the column's changes nothing. */
  at(timestamp: bigint | Buffer, ...values: ReadonlyArray<Value>): Write {
    if (values.length !== this.#valueCount) throw new TypeError(`${values.length} values for: ${this.cql}`)
    return { query: this.cql, params: [timestamp, ...values], partition: this.#partition }
  }
}

/** The partition key as Cassandra hashes it, to know which nodes keep it. */
export const routingKey = ({ params, partition }: Write): Buffer => {
  const parts = params.slice(partition.from, partition.to).map(keyBytes)
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return only
  return Buffer.concat(parts.flatMap((part) => [twoBytes(part.length), part, keyPartEnd]))
}

const keyPartEnd = Buffer.of(0)
const twoBytes = (length: number): Buffer => Buffer.of((length >> 8) & 0xff, length & 0xff)

const keyBytes = (value: Value): Buffer => {
  if (Buffer.isBuffer(value)) return value
  if (typeof value === "string") return Buffer.from(value)
  const bytes = Buffer.allocUnsafe(typeof value === "bigint" ? 8 : 4)
  // A number is an `int` here: what is a `bigint` in Cassandra is one here too, or encoded already.
  if (typeof value === "bigint") bytes.writeBigInt64BE(value)
  else bytes.writeInt32BE(Number(value))
  return bytes
}

/** Seqs are below this, so that a position is one number. */
export const seqLimit = 2 ** 40 - 1
/** Generations are below this: the largest timestamp, with the recounts in it, is the largest number of 64 bits. */
export const generationLimit = 2 ** 19

/** The generation of a channel that was never restored. */
export const firstGeneration = 1

/** The write timestamp of what a position owns (†32). Cassandra takes it for microseconds; to it they are just numbers. */
export const timestampOf = (position: { readonly generation: number; readonly seq: number }): bigint =>
  (BigInt(position.generation) << 40n) | BigInt(position.seq)

/** The same as a `bigint` of Cassandra: where each row passes, a BigInt on the way would cost as much as all the rest. */
export const timestampBytes = ({ generation, seq }: { readonly generation: number; readonly seq: number }): Buffer =>
  eightBytes(generation * 2 ** 8 + Math.floor(seq / 2 ** 32), seq)

const recountBits = 4n

/** The same of a count that may be put right without an event of its own, up to 15 times: the later is the larger. */
export const recountedTimestampOf = (place: EventPlace & { readonly recounts: number }): bigint =>
  (timestampOf(place) << recountBits) | BigInt(place.recounts)

/** Back from the timestamps. */
export const placeOf = (timestamp: bigint): EventPlace => ({
  generation: Number(timestamp >> 40n),
  seq: Number(timestamp & 0xff_ffff_ffffn)
})
export const recountedPlaceOf = (timestamp: bigint): EventPlace & { readonly recounts: number } => ({
  ...placeOf(timestamp >> recountBits),
  recounts: Number(timestamp & ((1n << recountBits) - 1n))
})

/** A whole number, from 0 on, as a `bigint` of Cassandra. */
export const long = (value: number): Buffer => {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`no whole number: ${value}`)
  return eightBytes(Math.floor(value / 2 ** 32), value)
}

const eightBytes = (high: number, low: number): Buffer => {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeUInt32BE(high, 0)
  bytes.writeUInt32BE(low % 2 ** 32, 4)
  return bytes
}

/** Whether something of a sequence can be there. */
export const isPlace = ({ generation, seq }: { readonly generation: number; readonly seq: number }): boolean =>
  Number.isInteger(generation) &&
  generation >= 0 &&
  generation < generationLimit &&
  Number.isInteger(seq) &&
  seq > 0 &&
  seq < seqLimit
