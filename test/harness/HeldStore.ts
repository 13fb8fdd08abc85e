/**
 * Keeps a running server from writing its store, from outside: a write transaction on the store's file, as a backup
 * program that misbehaves might hold one. Consumers of the log stand still meanwhile; reads go on.
 */
import { setTimeout as delay } from "node:timers/promises"
import { DatabaseSync } from "node:sqlite"

/** The server's own transactions come between; they are short. */
const holdMsMax = 10_000

export class HeldStore implements Disposable {
  #database: DatabaseSync | undefined

  private constructor(database: DatabaseSync) {
    this.#database = database
  }

  static async hold(file: string): Promise<HeldStore> {
    const database = new DatabaseSync(file)
    for (const until = Date.now() + holdMsMax; ;) {
      try {
        database.exec("BEGIN IMMEDIATE")
        return new HeldStore(database)
      } catch (error) {
        if (Date.now() > until) throw error
        await delay(1)
      }
    }
  }

  /** The store may be written again. */
  release(): void {
    this.#database?.exec("ROLLBACK")
    this.#database?.close()
    this.#database = undefined
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
