/**
 * States at rest, as bytes by id, outside V8's heap: a million of them there would be marked by every full collection.
 * They are appended to chunks, as in a log-structured file system (Rosenblum and Ousterhout, 1992): what is taken or
 * replaced leaves a hole, and who needs room has the oldest chunk looked through, of which he drops what may go and
 * appends the rest anew. So the order is that of coming to rest, and what counts as used is what is allocated. Hot path,
 * plain TypeScript: bench `scale`.
 */
import { IdPlaces } from "./IdPlaces.ts"

/** Of one chunk: a part of the bound that is small, but not too small to be worth it. A larger state has its own. */
const chunkBytesMin = 4_096
const chunkBytesMax = 262_144
const chunksPerBound = 16
/** Of a record: length of the state, then of the id, as 32 bits each; records begin at multiples of 4. */
const headerBytes = 8
/** States are dropped while there are fewer holes than this leaves; else gathering what is there gives room enough. */
const fullShare = 0.75

interface Chunk {
  readonly number: number
  readonly bytes: Buffer
  readonly words: Uint32Array
  used: number
}

export class WarmStates {
  readonly #chunkBytes: number
  readonly #placesPerChunk: number
  readonly #places = new IdPlaces((place, id) => this.#isOf(place, id))
  /** By number; a place is that times the words of a chunk, and a word in it. */
  readonly #chunks: Array<Chunk | undefined> = []
  readonly #freeNumbers: Array<number> = []
  /** Oldest first. */
  #order: Array<Chunk> = []
  #open: Chunk | undefined
  /** A chunk that was emptied, for the next one: the kernel need not zero it again. */
  #spare: Chunk | undefined
  /** Bytes of records that are there, those and holes, and allocated for both. */
  #live = 0
  #filled = 0
  #chunked = 0
  /** How far the oldest chunk has been looked through. */
  #looked = 0

  /** `bytesMax`: what the caller means to keep; he sees to it with `reclaim`. */
  constructor(bytesMax: number) {
    const part = Math.min(chunkBytesMax, Math.max(chunkBytesMin, bytesMax / chunksPerBound))
    this.#chunkBytes = 2 ** Math.floor(Math.log2(part))
    this.#placesPerChunk = this.#chunkBytes / 4
  }

  get count(): number {
    return this.#places.count
  }

  /** Bytes allocated, holes and index included; none where nothing is at rest. */
  get bytes(): number {
    return this.#places.count === 0 ? 0 : this.#chunked + this.#places.bytes
  }

  /** A view that holds until the next `put` or `reclaim`. */
  get(id: string): Uint8Array | undefined {
    const place = this.#places.find(id)
    return place === undefined ? undefined : this.#stateAt(place)
  }

  /** Takes it out; the view holds until the next `put` or `reclaim`. */
  take(id: string): Uint8Array | undefined {
    const place = this.#places.remove(id)
    if (place === undefined) return undefined
    const state = this.#stateAt(place)
    this.#forget(place)
    return state
  }

  delete(id: string): void {
    const place = this.#places.remove(id)
    if (place !== undefined) this.#forget(place)
  }

  /** `id` is ASCII, as ids are. */
  put(id: string, state: Uint8Array): void {
    this.delete(id)
    const size = recordBytes(id.length, state.length)
    const chunk = this.#room(size)
    const at = chunk.used
    chunk.words[at / 4] = state.length
    chunk.words[at / 4 + 1] = id.length
    chunk.bytes.write(id, at + headerBytes, "latin1")
    chunk.bytes.set(state, at + headerBytes + id.length)
    this.#fill(chunk, size)
    this.#live += size
    this.#places.add(id, this.#placeOf(chunk, at))
  }

  /**
   * Looks at the oldest record, for room: drops a state that `may` go while there is little but states, moves any other
   * to the end, and gives back a chunk that it has come to the end of. Without `may` none is dropped. False: nothing is
   * here, or nothing to be had.
   */
  reclaim(may: ((id: string) => boolean) | undefined): boolean {
    const chunk = this.#order[0]
    if (chunk === undefined || (may === undefined && this.#live >= this.#filled * fullShare)) return false
    if (chunk === this.#open) this.#open = undefined
    if (this.#looked >= chunk.used) {
      this.#order.shift()
      this.#looked = 0
      this.#release(chunk)
      return true
    }
    const at = this.#looked
    const [stateLength = 0, idLength = 0] = [chunk.words[at / 4], chunk.words[at / 4 + 1]]
    const size = recordBytes(idLength, stateLength)
    this.#looked += size
    const place = this.#placeOf(chunk, at)
    const id = chunk.bytes.toString("latin1", at + headerBytes, at + headerBytes + idLength)
    if (this.#places.find(id) !== place) return true
    if (this.#live >= this.#filled * fullShare && may?.(id) === true) {
      this.delete(id)
      return true
    }
    const to = this.#room(size)
    chunk.bytes.copy(to.bytes, to.used, at, at + size)
    this.#places.move(id, this.#placeOf(to, to.used))
    this.#fill(to, size)
    return true
  }

  /** An open chunk with so much room. */
  #room(size: number): Chunk {
    const open = this.#open
    if (open !== undefined && open.used + size <= open.bytes.length) return open
    const chunk =
      this.#spare !== undefined && size <= this.#chunkBytes ? this.#reuse(this.#spare) : this.#allocate(size)
    this.#order.push(chunk)
    // One that is filled by a single state is no place for the next ones; the open one may have room yet.
    if (size <= this.#chunkBytes) this.#open = chunk
    return chunk
  }

  #reuse(spare: Chunk): Chunk {
    this.#spare = undefined
    spare.used = 0
    return spare
  }

  #allocate(size: number): Chunk {
    const bytes = Buffer.allocUnsafeSlow(Math.max(this.#chunkBytes, size))
    const number = this.#freeNumbers.pop() ?? this.#chunks.length
    const chunk = { number, bytes, words: new Uint32Array(bytes.buffer, 0, bytes.length / 4), used: 0 }
    this.#chunks[number] = chunk
    this.#chunked += bytes.length
    return chunk
  }

  #fill(chunk: Chunk, size: number): void {
    chunk.used += size
    this.#filled += size
  }

  #release(chunk: Chunk): void {
    this.#filled -= chunk.used
    if (this.#spare === undefined && chunk.bytes.length === this.#chunkBytes) {
      this.#spare = chunk
      return
    }
    this.#chunks[chunk.number] = undefined
    this.#freeNumbers.push(chunk.number)
    this.#chunked -= chunk.bytes.length
  }

  #forget(place: number): void {
    const [chunk, at] = this.#at(place)
    this.#live -= recordBytes(chunk.words[at / 4 + 1] ?? 0, chunk.words[at / 4] ?? 0)
    if (this.#places.count > 0) return
    // Nothing is left: all of it goes back, also of a table that was large once.
    this.#chunks.length = 0
    this.#freeNumbers.length = 0
    this.#order = []
    this.#open = undefined
    this.#spare = undefined
    this.#filled = 0
    this.#chunked = 0
    this.#looked = 0
  }

  #placeOf(chunk: Chunk, at: number): number {
    return chunk.number * this.#placesPerChunk + at / 4
  }

  #at(place: number): readonly [chunk: Chunk, at: number] {
    const number = Math.floor(place / this.#placesPerChunk)
    const chunk = this.#chunks[number]
    if (chunk === undefined) throw new Error(`no chunk ${number} of warm states`)
    return [chunk, (place - number * this.#placesPerChunk) * 4]
  }

  #stateAt(place: number): Uint8Array {
    const [{ bytes, words }, at] = this.#at(place)
    const from = at + headerBytes + (words[at / 4 + 1] ?? 0)
    return bytes.subarray(from, from + (words[at / 4] ?? 0))
  }

  #isOf(place: number, id: string): boolean {
    const [{ bytes, words }, at] = this.#at(place)
    const { length } = id
    if (words[at / 4 + 1] !== length) return false
    const from = at + headerBytes
    for (let i = 0; i < length; i++) if (bytes[from + i] !== id.charCodeAt(i)) return false
    return true
  }
}

const recordBytes = (id: number, state: number): number => (headerBytes + id + state + 3) & ~3
