/**
 * Numbers and strings as bytes, for states at rest: a number takes seven bits a byte (LEB128, as Protocol Buffers'
 * varints), a string its length and one byte a char, or UTF-8 where it may have others. One buffer is written again and
 * again, and who keeps what is done copies it. Hot path, plain TypeScript: bench `scale`.
 */

const firstBytes = 16_384
/** Shorter strings are written char by char: a call out of JavaScript costs more. */
const shortChars = 24

export class ByteWriter {
  #bytes = Buffer.allocUnsafeSlow(firstBytes)
  #at = 0

  /** A whole number from 0 to 2^53 - 1. */
  number(value: number): void {
    this.#room(8)
    let rest = value
    // Bits of 32 are faster, and do for nearly all.
    while (rest > 0x7fffffff) {
      this.#bytes[this.#at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    while (rest > 127) {
      this.#bytes[this.#at++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#bytes[this.#at++] = rest
  }

  /** Chars up to U+00FF. */
  wire(value: string): void {
    const { length } = value
    this.number(length)
    this.#room(length)
    if (length < shortChars) for (let i = 0; i < length; i++) this.#bytes[this.#at + i] = value.charCodeAt(i)
    else this.#bytes.write(value, this.#at, length, "latin1")
    this.#at += length
  }

  /** Any chars; half a surrogate pair, which UTF-8 has no bytes for, makes it UTF-16. */
  text(value: string): void {
    const encoding = value.isWellFormed() ? "utf8" : "utf16le"
    const length = Buffer.byteLength(value, encoding)
    this.number(length * 2 + (encoding === "utf8" ? 0 : 1))
    this.#room(length)
    this.#bytes.write(value, this.#at, length, encoding)
    this.#at += length
  }

  /** What was written, until something is written again; and begins anew. */
  finish(): Uint8Array {
    const written = this.#bytes.subarray(0, this.#at)
    this.#at = 0
    // A giant does not keep its room.
    if (this.#bytes.length > firstBytes * 64) this.#bytes = Buffer.allocUnsafeSlow(firstBytes)
    return written
  }

  #room(more: number): void {
    if (this.#at + more <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + more))
    this.#bytes.copy(larger, 0, 0, this.#at)
    this.#bytes = larger
  }
}

export class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  number(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new RangeError("bytes end before what is read of them")
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
  }

  wire(): string {
    return this.#string(this.number(), "latin1")
  }

  text(): string {
    const form = this.number()
    return this.#string(Math.floor(form / 2), form % 2 === 0 ? "utf8" : "utf16le")
  }

  #string(length: number, encoding: "latin1" | "utf8" | "utf16le"): string {
    if (length === 0) return ""
    const from = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw new RangeError("bytes end before what is read of them")
    return this.#bytes.toString(encoding, from, this.#at)
  }
}
