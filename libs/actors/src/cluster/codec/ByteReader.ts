/**
 * Reads what `ByteWriter` wrote. It never throws and never reads on for ever: bytes that end too soon, or say what
 * can't be, make it `failed`, from where on it reads nothing but zeros and empty texts; whoever reads looks at that once,
 * at the end. Plain TypeScript on the hot path: bench `remotecalls`.
 */
import type { Position } from "@parley/protocol/Ids"

/** Bytes of the largest natural number that a double has. */
const varintBytesMax = 8

const none: ReadonlyArray<string> = []

export class ByteReader {
  readonly #bytes: Buffer
  #at: number
  #end: number
  #failed = false

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = 0
    this.#end = bytes.byteLength
  }

  get failed(): boolean {
    return this.#failed
  }

  get left(): number {
    return this.#end - this.#at
  }

  /** What was read makes no sense. */
  fail(): undefined {
    this.#failed = true
    this.#at = this.#end
    return undefined
  }

  byte(): number {
    const value = this.#at < this.#end ? this.#bytes[this.#at++] : this.fail()
    return value ?? 0
  }

  bool(): boolean {
    const value = this.byte()
    if (value > 1) this.fail()
    return value === 1
  }

  number(): number {
    const first = this.byte()
    if (first < 0x80) return first
    let value = first & 0x7f
    let scale = 128
    for (let bytes = 1; bytes < varintBytesMax; bytes++) {
      const next = this.byte()
      value += (next & 0x7f) * scale
      if (next < 0x80) return value === 0 ? this.#double() : value
      scale *= 128
    }
    this.fail()
    return 0
  }

  #double(): number {
    if (this.left < 8) return this.fail() ?? 0
    const value = this.#bytes.readDoubleLE(this.#at)
    this.#at += 8
    return value
  }

  /** How many of something follow, each of at least one byte: a larger number than there are bytes is garbage. */
  count(): number {
    const value = this.number()
    if (value <= this.left && Number.isSafeInteger(value) && value >= 0) return value
    this.fail()
    return 0
  }

  text(): string {
    const head = this.number()
    const length = Math.floor(head / 2)
    const isWide = head % 2 === 1
    const bytes = isWide ? length * 2 : length
    if (!(bytes <= this.left) || bytes < 0) return this.fail() ?? ""
    const start = this.#at
    this.#at += bytes
    if (bytes === 0) return ""
    return this.#bytes.toString(isWide ? "utf16le" : "latin1", start, this.#at)
  }

  texts(): ReadonlyArray<string> {
    const count = this.count()
    if (count === 0) return none
    const values: Array<string> = []
    for (let i = 0; i < count && !this.#failed; i++) values.push(this.text())
    return values
  }

  /** So many of something, each read by `one`; those after a failure are left out. */
  list<A>(one: () => A | undefined): ReadonlyArray<A> {
    const count = this.count()
    const values: Array<A> = []
    for (let i = 0; i < count; i++) {
      const value = one()
      if (this.#failed) break
      if (value === undefined) this.fail()
      else values.push(value)
    }
    return values
  }

  maybe(): number | null {
    return this.bool() ? this.number() : null
  }

  position(): Position {
    const generation = this.number()
    return { generation, seq: this.number() }
  }

  /** All bytes that are left, not copied. */
  rest(): Uint8Array {
    const bytes = this.#bytes.subarray(this.#at, this.#end)
    this.#at = this.#end
    return bytes
  }

  /** A part as `ByteWriter.begin` and `end` made it: reads are within it until `leave`. The answer is for `leave`. */
  enter(): number {
    const outer = this.#end
    if (this.left < 4) {
      this.fail()
      return outer
    }
    const length = this.#bytes.readUInt32LE(this.#at)
    this.#at += 4
    if (length > this.left) this.fail()
    else this.#end = this.#at + length
    return outer
  }

  /**
   * Goes behind the part, whatever of it was read: a newer node may say more than this one knows. Answers whether the
   * part could be read; if not, the next one may still be.
   */
  leave(outer: number): boolean {
    const read = !this.#failed
    this.#failed = false
    this.#at = this.#end
    this.#end = outer
    return read
  }
}
