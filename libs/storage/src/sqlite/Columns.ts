/**
 * Rows on their way between a store's thread and the event loop: all numbers in one array, all text in one buffer, in
 * the order in which they are read again. What a structured clone costs goes by the number of values, not by their
 * bytes, and rows of objects are thousands. Each text comes out as a string of its own: one that was cut out of a large
 * string would keep all of it alive. Hot path, plain TypeScript: `bench scale` watches it.
 */

export interface Columns {
  readonly numbers: Float64Array
  readonly bytes: Uint8Array
}

export class ColumnsWriter {
  readonly #numbers: Array<number> = []
  readonly #texts: Array<string | Uint8Array> = []
  #bytes = 0

  number(value: number): void {
    this.#numbers.push(value)
  }

  /** Any text. */
  text(value: string): void {
    const length = Buffer.byteLength(value)
    this.#numbers.push(length)
    this.#texts.push(value)
    this.#bytes += length
  }

  /** Bytes that are read again as one char a byte. */
  wire(value: Uint8Array): void {
    this.#numbers.push(value.length)
    this.#texts.push(value)
    this.#bytes += value.length
  }

  finish(): Columns {
    const bytes = Buffer.allocUnsafeSlow(this.#bytes)
    let at = 0
    for (const text of this.#texts) {
      if (typeof text === "string") at += bytes.write(text, at)
      else {
        bytes.set(text, at)
        at += text.length
      }
    }
    return { numbers: Float64Array.from(this.#numbers), bytes }
  }
}

export class ColumnsReader {
  readonly #numbers: Float64Array
  readonly #bytes: Buffer
  #number = 0
  #byte = 0

  constructor({ bytes, numbers }: Columns) {
    this.#numbers = numbers
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  number(): number {
    const value = this.#numbers[this.#number++]
    if (value === undefined) throw new RangeError("columns end before what is read of them")
    return value
  }

  text(): string {
    const from = this.#byte
    this.#byte += this.number()
    return this.#bytes.toString("utf8", from, this.#byte)
  }

  wire(): string {
    const from = this.#byte
    this.#byte += this.number()
    return this.#bytes.toString("latin1", from, this.#byte)
  }
}
