/** Values of columns as JavaScript has them. What is read was written by this program, in columns of these types. */
import type { Row } from "./Cassandra.ts"

/** What a bigint column or a timestamp is given. */
export const big = (value: number): bigint => BigInt(value)

/** An int or bigint below 2^53. */
export const numberOf = (row: Row, column: string): number => Number(row.get(column))
/** A bigint, or a timestamp, of any size. */
export const longOf = (row: Row, column: string): bigint => BigInt(String(row.get(column)))
export const textOf = (row: Row, column: string): string => String(row.get(column))
/** Whether the column was ever written. */
export const has = (row: Row, column: string): boolean => (row.get(column) ?? null) !== null

/** A copy: the driver's bytes are a part of its whole answer. */
export const bytesOf = (row: Row, column: string): Uint8Array => {
  const value: unknown = row.get(column)
  return value instanceof Uint8Array ? new Uint8Array(value) : new Uint8Array(0)
}
