/** A runner that takes shards and takes part in everything, but for what is said. */
import type { PlaceableRunner } from "@parley/actors/cluster/Placement"

export const runner = (name: string, over: Partial<PlaceableRunner> = {}): PlaceableRunner => ({
  name,
  weight: 1,
  takes: true,
  leaves: false,
  balances: true,
  ...over
})
