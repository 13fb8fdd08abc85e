/**
 * Where a client keeps what must survive a reload (its outbox): text by key. `memoryStorage` forgets, `webStorage` takes
 * `localStorage` or anything of its shape, `fileStorage` (FileStorage.ts, Node only) keeps a folder of files. Two clients that run at the same time
 * need a prefix each: the last writer of a key wins.
 */
import type { Cancel, Environment } from "./Environment.ts"

export interface ClientStorage {
  read(key: string): Promise<string | undefined>
  /** `undefined` removes the key. Resolves when the text is kept. */
  write(key: string, text: string | undefined): Promise<void>
}

export const memoryStorage = (): ClientStorage => {
  const kept = new Map<string, string>()
  return {
    read: async (key) => kept.get(key),
    write: async (key, text) => {
      if (text === undefined) kept.delete(key)
      else kept.set(key, text)
    }
  }
}

/** The part of `localStorage` that is used. */
export interface WebStorageLike {
  getItem(key: string): string | null
  setItem(key: string, text: string): void
  removeItem(key: string): void
}

export const webStorage = (storage: WebStorageLike, prefix = "parley."): ClientStorage => ({
  read: async (key) => storage.getItem(prefix + key) ?? undefined,
  write: async (key, text) => {
    if (text === undefined) storage.removeItem(prefix + key)
    else storage.setItem(prefix + key, text)
  }
})

/**
 * One key that changes often: writes are coalesced, one at a time, at most one an interval, and the last value always
 * gets written. A failed write is reported and tried again with the next change.
 */
export class StoredText {
  readonly #storage: ClientStorage
  readonly #key: string
  readonly #environment: Environment
  readonly #intervalMs: number
  readonly #text: () => string | undefined
  readonly #failed: (error: unknown) => void
  #timer: Cancel | undefined
  #writing: Promise<void> | undefined
  #dirty = false

  constructor(options: {
    readonly storage: ClientStorage
    readonly key: string
    readonly environment: Environment
    readonly intervalMs: number
    /** Asked when it is time to write. */
    readonly text: () => string | undefined
    readonly failed: (error: unknown) => void
  }) {
    this.#storage = options.storage
    this.#key = options.key
    this.#environment = options.environment
    this.#intervalMs = options.intervalMs
    this.#text = options.text
    this.#failed = options.failed
  }

  async read(): Promise<string | undefined> {
    try {
      return await this.#storage.read(this.#key)
    } catch (error) {
      this.#failed(error)
      return undefined
    }
  }

  changed(): void {
    this.#dirty = true
    if (this.#timer !== undefined || this.#writing !== undefined) return
    this.#timer = this.#environment.after(this.#intervalMs, () => {
      this.#timer = undefined
      void this.flush()
    })
  }

  /** Writes now; resolves when nothing is left to write, whether it worked or was reported. */
  async flush(): Promise<void> {
    this.#timer?.()
    this.#timer = undefined
    if (this.#writing !== undefined) await this.#writing
    if (!this.#dirty) return
    // Another flush may have waited for the same write and begun the next one.
    if (this.#writing !== undefined) return this.flush()
    this.#dirty = false
    this.#writing = this.#write()
    await this.#writing
  }

  async #write(): Promise<void> {
    try {
      await this.#storage.write(this.#key, this.#text())
    } catch (error) {
      this.#failed(error)
    }
    this.#writing = undefined
    if (this.#dirty) this.changed()
  }
}
