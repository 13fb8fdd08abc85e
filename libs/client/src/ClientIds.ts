/**
 * Client ids: UUIDs of version 7 by the server's time, each larger than the one before, also within a millisecond and
 * when the clock goes back a little. Only `restart`, after the server refused an id as ahead, lets them go back.
 */
const counterMax = 0xfff

export class ClientIds {
  readonly #serverNow: () => number
  readonly #randomBytes: (count: number) => Uint8Array
  #lastMs = -1
  #counter = 0

  constructor(serverNow: () => number, randomBytes: (count: number) => Uint8Array) {
    this.#serverNow = serverNow
    this.#randomBytes = randomBytes
  }

  next(): string {
    const bytes = this.#randomBytes(10)
    const now = Math.max(0, Math.floor(this.#serverNow()))
    if (now > this.#lastMs) {
      this.#lastMs = now
      // Eleven bits, so the counter has at least as much room above.
      this.#counter = (((bytes[8] ?? 0) << 8) | (bytes[9] ?? 0)) & 0x7ff
    } else if (this.#counter < counterMax) {
      this.#counter += 1
    } else {
      this.#lastMs += 1
      this.#counter = 0
    }
    const time = this.#lastMs.toString(16).padStart(12, "0")
    const rest = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
    const variant = (0x8 | ((bytes[0] ?? 0) & 0x3)).toString(16)
    const counter = this.#counter.toString(16).padStart(3, "0")
    return `${time.slice(0, 8)}-${time.slice(8)}-7${counter}-${variant}${rest.slice(1, 4)}-${rest.slice(4)}`
  }

  restart(): void {
    this.#lastMs = -1
  }
}
