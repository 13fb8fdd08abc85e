/** Random numbers from a seed, which a failing test prints. */

export class Random {
  readonly seed: number
  #state: number

  constructor(seed: number) {
    this.seed = seed
    this.#state = seed >>> 0
  }

  /** `PARLEY_TEST_SEED`, or another one each time. */
  static fromEnvironment(): Random {
    const given = process.env["PARLEY_TEST_SEED"]
    return new Random(given === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(given))
  }

  /** 0 up to, not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  /** A whole number, both ends included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  /** Undefined only of nothing. */
  pick<A>(items: ReadonlyArray<A>): A | undefined {
    return items[Math.floor(this.next() * items.length)]
  }

  /** One of the names, by weight. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    // The keys of the record are its names.
    const names = Object.keys(weights) as Array<Name>
    let left = this.next() * names.reduce((sum, name) => sum + weights[name], 0)
    for (const name of names) {
      left -= weights[name]
      if (left < 0) return name
    }
    return names[0]!
  }
}
