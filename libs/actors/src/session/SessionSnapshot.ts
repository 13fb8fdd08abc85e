/** The bytes of a session at rest: a version, then JSON. An unknown version is refused. */
import type { Remembered } from "../channel/IdempotencyWindow.ts"

export interface SessionSnapshot {
  readonly user: string
  readonly generation: number
  readonly userSeq: number
  readonly at: number
  readonly channels: ReadonlyArray<readonly [channel: string, since: number]>
  readonly left: ReadonlyArray<readonly [channel: string, seq: number]>
  readonly cursors: ReadonlyArray<readonly [channel: string, generation: number, seq: number]>
  /** Channels whose cursors the cursor store may not have. */
  readonly dirty: ReadonlyArray<string>
  readonly mentions: ReadonlyArray<readonly [channel: string, from: number, seqs: ReadonlyArray<number>]>
  readonly revokedBefore: number
  readonly window: { readonly bound: number; readonly ids: ReadonlyArray<Remembered> }
  readonly personal: ReadonlyArray<string>
}

const version = 1

export const encodeSession = (snapshot: SessionSnapshot): Uint8Array => {
  const json = Buffer.from(JSON.stringify(snapshot), "utf8")
  const bytes = Buffer.allocUnsafe(json.length + 1)
  bytes.writeUInt8(version, 0)
  json.copy(bytes, 1)
  return bytes
}

export const decodeSession = (input: Uint8Array): SessionSnapshot => {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  if (bytes.length === 0 || bytes.readUInt8(0) !== version) throw new Error("session snapshot of another version")
  // as: written by encodeSession of the same version; the log record or row around it vouches for the bytes
  return JSON.parse(bytes.toString("utf8", 1)) as SessionSnapshot
}
