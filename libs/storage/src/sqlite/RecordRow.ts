/**
 * How a record lies in a row: a key of shard and position, and a checksum over both and the bytes, so that a record
 * that was damaged, or that lies in another one's place, is recognised and never served.
 */
import { crc32 } from "node:zlib"

/** A row's key is `shard · 2^40 + position`: both stay exact in a double, and a shard's rows lie together. */
const positionSpan = 2 ** 40
/** Shards are 0 to 8,191: so that every key is a safe integer. */
export const shardsMax = 8_192
export const positionMax = positionSpan - 1

export const recordKey = (shard: number, position: number): number => shard * positionSpan + position
export const shardOfKey = (key: number): number => Math.floor(key / positionSpan)
export const positionOfKey = (key: number): number => key % positionSpan

/** Whether a number can be a shard of this backend. */
export const isShard = (shard: number): boolean => Number.isInteger(shard) && shard >= 0 && shard < shardsMax

const place = new Float64Array(1)
const placeBytes = new Uint8Array(place.buffer)

/** CRC32 over the key (shard and position) and the bytes. */
export const recordChecksum = (key: number, bytes: Uint8Array): number => {
  place[0] = key
  return crc32(bytes, crc32(placeBytes))
}

/** What a record weighs against the log's bounds: its bytes and about what its row costs. */
export const rowOverheadBytes = 32
