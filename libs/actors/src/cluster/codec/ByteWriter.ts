/**
 * Writes what nodes tell each other: numbers of few bytes, texts as they are in memory. One writer is used for many
 * messages; `take` hands out a copy. It does not know what it writes, and does not throw for any value of the types it
 * takes. Plain TypeScript on the hot path: bench `remotecalls`.
 */

import { wireRelease } from "./WireRelease.ts"

/** What a text costs to write by a native call is more than a loop costs for so many chars. */
const loopCharsMax = 24
const bytesAtFirst = 4_096
/** What a writer keeps between messages: a single large one must not stay for ever. */
const keptBytesMax = 1_048_576

// Anything that needs more than one byte a char.
// oxlint-disable-next-line no-control-regex -- control characters are chars of one byte as well
const wide = /[^\u0000-\u00ff]/

export class ByteWriter {
  #bytes = Buffer.allocUnsafe(bytesAtFirst)
  #at = 0

  get length(): number {
    return this.#at
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  bool(value: boolean): void {
    this.byte(value ? 1 : 0)
  }

  /** Seven bits a byte, the lowest first; what is no natural number goes as eight bytes behind a zero written long. */
  number(value: number): void {
    this.#room(10)
    if ((value & 0x7f) === value) this.#bytes[this.#at++] = value
    else if (value > 0 && Number.isSafeInteger(value)) this.#varint(value)
    else {
      this.#bytes[this.#at++] = 0x80
      this.#bytes[this.#at++] = 0
      this.#at = this.#bytes.writeDoubleLE(value, this.#at)
    }
  }

  #varint(value: number): void {
    let rest = value
    while (rest > 0x7fff_ffff) {
      this.#bytes[this.#at++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    while (rest > 0x7f) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.#at++] = rest
  }

  /** One byte a char, or two where a char needs it: wire text and lone surrogates come out as they went in. */
  text(value: string): void {
    const { length } = value
    this.#room(10 + length)
    if (length <= loopCharsMax) {
      const start = this.#at
      this.#bytes[this.#at++] = length << 1
      for (let i = 0; i < length; i++) {
        const char = value.charCodeAt(i)
        if (char > 0xff) {
          this.#at = start
          this.#wideText(value)
          return
        }
        this.#bytes[this.#at++] = char
      }
    } else if (wide.test(value)) this.#wideText(value)
    else {
      this.number(length * 2)
      this.#at += this.#bytes.write(value, this.#at, length, "latin1")
    }
  }

  #wideText(value: string): void {
    this.#room(10 + value.length * 2)
    this.number(value.length * 2 + 1)
    this.#at += this.#bytes.write(value, this.#at, value.length * 2, "utf16le")
  }

  texts(values: ReadonlyArray<string>): void {
    this.number(values.length)
    for (const value of values) this.text(value)
  }

  /** Null, or a number. */
  maybe(value: number | null): void {
    this.bool(value !== null)
    if (value !== null) this.number(value)
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** Begins a part whose length a reader must know beforehand; `end` writes it. */
  begin(): number {
    this.#room(4)
    this.#at += 4
    return this.#at
  }

  end(begun: number): void {
    const { more } = wireRelease()
    if (more.length > 0) this.raw(more)
    this.#bytes.writeUInt32LE(this.#at - begun, begun - 4)
  }

  /** Forgets everything after a place. */
  backTo(length: number): void {
    this.#at = length
  }

  /** The bytes from a place on, not copied: good until the next write. */
  view(from = 0): Uint8Array {
    return this.#bytes.subarray(from, this.#at)
  }

  /** A copy of what was written; the writer is empty then. */
  take(): Uint8Array {
    const bytes = Buffer.from(this.view())
    this.#at = 0
    if (this.#bytes.length > keptBytesMax) this.#bytes = Buffer.allocUnsafe(bytesAtFirst)
    return bytes
  }

  #room(more: number): void {
    const needed = this.#at + more
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}
