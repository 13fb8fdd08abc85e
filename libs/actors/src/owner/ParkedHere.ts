/**
 * The entities of one shard of which the persister has parked events (†26): the store is behind for these alone, however
 * far its position came. They stay in memory, their floors stay, and one that is loaded gets what is parked on top of
 * its rows; so every read of it is what it would be if the store were a little slow. A shard is taken over while the
 * store is away too: until it could be asked, anything may be parked, so nothing is let go and every load asks.
 */
import type { ParkedEntity } from "@parley/storage/ParkedEvents"
import type { Topic } from "../log/Entry.ts"

export class ParkedHere {
  /** Undefined: not known yet. */
  #entities: Map<string, ParkedEntity> | undefined = undefined
  #source: ReadonlyArray<ParkedEntity> | undefined = undefined
  /** Rises with each word of it: what was read before the last one is older. */
  changes = 0

  get known(): boolean {
    return this.#entities !== undefined
  }

  /** Whether something of it is parked, for all that is known. */
  has(topic: Topic, id: string): boolean {
    const entities = this.#entities
    return entities === undefined || (entities.size > 0 && entities.has(keyOf({ topic, id })))
  }

  countOf(topic: Topic, id: string): number {
    return this.#entities?.get(keyOf({ topic, id }))?.count ?? 0
  }

  /** Nothing of it is parked any more. */
  release(topic: Topic, id: string): void {
    this.changes++
    this.#entities?.delete(keyOf({ topic, id }))
  }

  /** What is parked now. */
  replace(entities: ReadonlyArray<ParkedEntity>): void {
    this.changes++
    if (entities === this.#source) return
    this.#source = entities
    this.#entities = byKey(entities)
  }
}

const keyOf = ({ id, topic }: { readonly topic: string; readonly id: string }): string => `${topic}/${id}`

const byKey = (entities: ReadonlyArray<ParkedEntity>): Map<string, ParkedEntity> =>
  new Map(entities.map((entity) => [keyOf(entity), entity]))
