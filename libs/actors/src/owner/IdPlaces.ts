/**
 * Where something is kept, by id, in typed arrays: 12 to 24 bytes an id and nothing for a collection to look at, where a
 * Map of strings takes ten times that. The ids themselves are where the places say, and are asked for there. Open
 * addressing with linear probing; removing moves later ones up (Knuth, TAOCP 6.4, algorithm R). Growing goes by the
 * hashes, without a look at any id.
 */
const slotsMin = 64
/** Slots in use of a hundred before there are twice as many. */
const loadMax = 70

// Ids are chosen by users: with a number of this process in the hash nobody can prepare a thousand that meet.
const [seed = 0] = crypto.getRandomValues(new Uint32Array(1))

/** MurmurHash's mixing (Appleby, public domain), a char at a time. */
const hashOf = (id: string): number => {
  let hash = seed
  for (let i = 0; i < id.length; i++) {
    hash = Math.imul(hash ^ id.charCodeAt(i), 0x5bd1e995)
    hash ^= hash >>> 15
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0x85ebca6b)
  return (hash ^ (hash >>> 16)) >>> 0
}

export class IdPlaces {
  readonly #isOf: (place: number, id: string) => boolean
  #hashes = new Uint32Array(slotsMin)
  /** A place plus one; 0: the slot is free. */
  #places = new Uint32Array(slotsMin)
  count = 0

  /** `isOf`: whether what is at the place has this id. Places are from 0 to 2^32 - 2. */
  constructor(isOf: (place: number, id: string) => boolean) {
    this.#isOf = isOf
  }

  get bytes(): number {
    return this.#places.length * 8
  }

  find(id: string): number | undefined {
    const slot = this.#slotOf(id)
    return slot === undefined ? undefined : (this.#places[slot] ?? 0) - 1
  }

  /** The id must not be there. */
  add(id: string, place: number): void {
    if ((this.count + 1) * 100 > this.#places.length * loadMax) this.#resize(this.#places.length * 2)
    this.#insert(hashOf(id), place + 1)
    this.count++
  }

  move(id: string, place: number): void {
    const slot = this.#slotOf(id)
    if (slot !== undefined) this.#places[slot] = place + 1
  }

  remove(id: string): number | undefined {
    let free = this.#slotOf(id)
    if (free === undefined) return undefined
    const mask = this.#places.length - 1
    const place = (this.#places[free] ?? 0) - 1
    for (let at = (free + 1) & mask; this.#places[at] !== 0; at = (at + 1) & mask) {
      const home = (this.#hashes[at] ?? 0) & mask
      // It may move up only as far as its own place.
      if (((at - home) & mask) < ((at - free) & mask)) continue
      this.#hashes[free] = this.#hashes[at] ?? 0
      this.#places[free] = this.#places[at] ?? 0
      free = at
    }
    this.#places[free] = 0
    if (--this.count === 0 && this.#places.length > slotsMin) this.#resize(slotsMin)
    return place
  }

  #slotOf(id: string): number | undefined {
    const hash = hashOf(id)
    const mask = this.#places.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const place = this.#places[slot] ?? 0
      if (place === 0) return undefined
      if (this.#hashes[slot] === hash && this.#isOf(place - 1, id)) return slot
    }
  }

  #insert(hash: number, place: number): void {
    const mask = this.#places.length - 1
    let slot = hash & mask
    while (this.#places[slot] !== 0) slot = (slot + 1) & mask
    this.#hashes[slot] = hash
    this.#places[slot] = place
  }

  #resize(slots: number): void {
    const [hashes, places] = [this.#hashes, this.#places]
    this.#hashes = new Uint32Array(slots)
    this.#places = new Uint32Array(slots)
    for (let slot = 0; slot < places.length; slot++) {
      const place = places[slot] ?? 0
      if (place !== 0) this.#insert(hashes[slot] ?? 0, place)
    }
  }
}
