/**
 * What a runner's shards hold, added up: how many entities are in memory and in which form, how they came to be, and how
 * much the store lacks. For operators; nothing decides by it.
 */
import type { EntityState, Residents } from "./Residents.ts"
import type { ShardOwner } from "./ShardOwner.ts"

export interface EntityCounts {
  resident: number
  residentBytes: number
  warm: number
  warmBytes: number
  /** Since the process began, of the shards it has now. */
  wokenWarm: number
  wokenCold: number
}

export interface OwnerCounts {
  readonly shards: number
  readonly channel: EntityCounts
  readonly session: EntityCounts
  /** Records' shares of entities that the store lacks: above what a second brings, the persister is behind. */
  readonly unstored: number
}

const none = (): EntityCounts => ({ resident: 0, residentBytes: 0, warm: 0, warmBytes: 0, wokenWarm: 0, wokenCold: 0 })

const add = <S extends EntityState>(counts: EntityCounts, residents: Residents<S>): void => {
  counts.resident += residents.residentCount
  counts.residentBytes += residents.residentBytes
  counts.warm += residents.warmCount
  counts.warmBytes += residents.warmBytes
  counts.wokenWarm += residents.wokenWarm
  counts.wokenCold += residents.wokenCold
}

export const countOwners = (owners: Iterable<ShardOwner>): OwnerCounts => {
  const [channel, session] = [none(), none()]
  let shards = 0
  let unstored = 0
  for (const owner of owners) {
    shards++
    unstored += owner.unstored.count
    add(channel, owner.channels.residents)
    add(session, owner.sessions.residents)
  }
  return { shards, channel, session, unstored }
}
