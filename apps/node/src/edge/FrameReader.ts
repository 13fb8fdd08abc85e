/**
 * Reads WebSocket frames of clients (RFC 6455, no extensions) out of the bytes of a socket, as they come. It promises
 * what the receiver of `ws` does, and a test compares the two: whole messages in order, control frames between the
 * fragments of one, text that is UTF-8, limits on size and fragments, the protocol's close code for what is wrong. It
 * keeps nothing of a socket between two messages: an idle connection costs it one null.
 * Plain TypeScript on the hot path: benches `send` and `idle`.
 */
import { isUtf8 } from "node:buffer"

export interface FrameLimits {
  /** Of one message, whole. */
  readonly messageBytesMax: number
  readonly fragmentsMax: number
}

/** Takes what is read. A handler that ends the reading makes `reading` false; the rest is then dropped. */
export interface FrameSink {
  readonly reading: boolean
  onText(text: string): void
  onBinary(): void
  /** The payload lies in the reader's buffer: it is the sink's until it returns. */
  onPing(payload: Buffer): void
  onPong(): void
  /** 1005 where the frame names no code. */
  onClose(code: number): void
  /** The protocol was violated; `code` is the close code for it. */
  onViolation(code: number): void
}

/** Codes of RFC 6455. */
export const wsProtocolError = 1002
export const wsInvalidText = 1007
export const wsTooManyFragments = 1008
export const wsTooLarge = 1009
const noCode = 1005

const continuation = 0
const text = 1
const binary = 2
const close = 8
const ping = 9
const pong = 10

const controlBytesMax = 125
const nothing = Buffer.alloc(0)

/** What a socket has of a message whose rest has not come. */
export class Unfinished {
  /** Bytes of a frame, header included. */
  bytes: Buffer = nothing
  length = 0
  /** Kind of the message whose fragments come; 0: none. */
  opcode = 0
  fragments = 0
  readonly message = { bytes: nothing, length: 0 }
}

/** Adds bytes at the end, in a buffer that doubles: bytes that come one by one are copied a bounded number of times. */
const append = (to: { bytes: Buffer; length: number }, from: Buffer, start: number, end: number): void => {
  const length = to.length + end - start
  if (length > to.bytes.length) {
    const larger = Buffer.allocUnsafeSlow(Math.max(length, to.bytes.length * 2))
    to.bytes.copy(larger, 0, 0, to.length)
    to.bytes = larger
  }
  from.copy(to.bytes, to.length, start, end)
  to.length = length
}

/**
 * Reads the first `length` bytes of `chunk`, after what is unfinished. Answers what is unfinished now, null between
 * messages. Payloads are unmasked where they lie: nothing in `chunk` is good for anything afterwards.
 */
export const readFrames = (
  before: Unfinished | null,
  chunk: Buffer,
  length: number,
  limits: FrameLimits,
  sink: FrameSink
): Unfinished | null => {
  let unfinished = before
  let bytes = chunk
  let end = length
  if (unfinished !== null && unfinished.length > 0) {
    append(unfinished, chunk, 0, length)
    bytes = unfinished.bytes
    end = unfinished.length
  }
  let at = 0
  while (sink.reading) {
    const header = headerAt(bytes, at, end, unfinished, limits)
    if (header === incomplete) break
    if (header < 0) {
      sink.onViolation(-header)
      break
    }
    const start = at + header
    const size = sizeAt(bytes, at)
    if (start + size > end) break
    const ascii = unmask(bytes, start, start + size)
    // The two bytes of the header that say what it is are still there: the mask lies behind them.
    unfinished = takeFrame(bytes, at, start, start + size, ascii, unfinished, limits, sink)
    at = start + size
  }
  if (!sink.reading) return null
  const rest = end - at
  if (unfinished === null) {
    if (rest === 0) return null
    unfinished = new Unfinished()
  }
  if (bytes === chunk) append(unfinished, chunk, at, end)
  else if (rest === 0) unfinished.bytes = nothing
  else unfinished.bytes.copyWithin(0, at, end)
  unfinished.length = rest
  return rest === 0 && unfinished.opcode === 0 ? null : unfinished
}

const incomplete = 0

/** Length of the header and mask at `at`; `incomplete`; or minus the close code for what is wrong with the frame. */
const headerAt = (
  bytes: Buffer,
  at: number,
  end: number,
  unfinished: Unfinished | null,
  limits: FrameLimits
): number => {
  if (end - at < 2) return incomplete
  const first = bytes[at] ?? 0
  const second = bytes[at + 1] ?? 0
  const opcode = first & 15
  const short = second & 127
  // Reserved bits, and frames without a mask.
  if ((first & 0x70) !== 0 || (second & 0x80) === 0) return -wsProtocolError
  const fragmented = unfinished !== null && unfinished.opcode !== 0
  if (opcode >= close) {
    const final = (first & 0x80) !== 0
    const wrong = opcode > pong || !final || short > controlBytesMax || (opcode === close && short === 1)
    return wrong ? -wsProtocolError : end - at < 6 ? incomplete : 6
  }
  if (opcode > binary || (opcode === continuation) !== fragmented) return -wsProtocolError
  const header = short < 126 ? 6 : short === 126 ? 8 : 14
  // Before its bytes are waited for.
  const sized = end - at >= header - 4
  const size = sized ? sizeAt(bytes, at) : 0
  if (size + (unfinished?.message.length ?? 0) > limits.messageBytesMax) return -wsTooLarge
  return end - at < header ? incomplete : header
}

/** Length of the payload of the frame at `at`, whose header is there. */
const sizeAt = (bytes: Buffer, at: number): number => {
  const short = (bytes[at + 1] ?? 0) & 127
  if (short < 126) return short
  if (short === 126) return bytes.readUInt16BE(at + 2)
  return bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6)
}

/** Unmasks a payload by the mask before it; answers whether all of it is ASCII. */
const unmask = (bytes: Buffer, start: number, end: number): boolean => {
  const mask = bytes.readUInt32LE(start - 4)
  let all = 0
  for (let i = start; i < end; i++) {
    // The mask's four bytes go round.
    const byte = (bytes[i] ?? 0) ^ ((mask >>> (((i - start) & 3) << 3)) & 0xff)
    bytes[i] = byte
    all |= byte
  }
  return all < 0x80
}

/** Takes a whole, unmasked frame; answers what is unfinished after it. */
const takeFrame = (
  bytes: Buffer,
  at: number,
  start: number,
  end: number,
  ascii: boolean,
  unfinished: Unfinished | null,
  limits: FrameLimits,
  sink: FrameSink
): Unfinished | null => {
  const first = bytes[at] ?? 0
  const opcode = first & 15
  if (opcode >= close) {
    takeControl(bytes, opcode, start, end, sink)
    return unfinished
  }
  const final = (first & 0x80) !== 0
  if (final && opcode !== continuation) {
    if (opcode === text) takeText(bytes, start, end, ascii, sink)
    else sink.onBinary()
    return unfinished
  }
  const parts = unfinished ?? new Unfinished()
  if (opcode !== continuation) parts.opcode = opcode
  if (++parts.fragments > limits.fragmentsMax) {
    sink.onViolation(wsTooManyFragments)
    return null
  }
  append(parts.message, bytes, start, end)
  if (!final) return parts
  const { message } = parts
  const whole = parts.opcode
  const { bytes: payload, length } = message
  parts.opcode = 0
  parts.fragments = 0
  message.bytes = nothing
  message.length = 0
  if (whole === text) takeText(payload, 0, length, false, sink)
  else sink.onBinary()
  return parts
}

const takeText = (bytes: Buffer, start: number, end: number, ascii: boolean, sink: FrameSink): void => {
  if (ascii) sink.onText(bytes.toString("latin1", start, end))
  else if (isUtf8(bytes.subarray(start, end))) sink.onText(bytes.toString("utf8", start, end))
  else sink.onViolation(wsInvalidText)
}

const takeControl = (bytes: Buffer, opcode: number, start: number, end: number, sink: FrameSink): void => {
  if (opcode === ping) return sink.onPing(bytes.subarray(start, end))
  if (opcode === pong) return sink.onPong()
  if (start === end) return sink.onClose(noCode)
  const code = bytes.readUInt16BE(start)
  if (!closeCodeValid(code)) return sink.onViolation(wsProtocolError)
  if (!isUtf8(bytes.subarray(start + 2, end))) return sink.onViolation(wsInvalidText)
  sink.onClose(code)
}

/** Codes that a frame may carry: assigned ones, and those for libraries and applications. */
const closeCodeValid = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999)
