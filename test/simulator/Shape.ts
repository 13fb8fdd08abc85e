/** What a run is like, from its seed: how large, how tight on memory, how busy with what, and what comes after it. */
import type { Random } from "../harness/Random.ts"

/** Simulated time of trouble. */
const troubleMs = { low: 6_000, high: 30_000 } as const

/** What the workload does where it is not as usual. */
const busyWith = {
  usual: {},
  /** People come and go all the time, and connect anew. */
  members: { member: 40, lobby: 20, drop: 8, look: 4 },
  /** They look back more than they write. */
  reads: { send: 30, history: 60, edit: 15, delete: 8 },
  /** They think better of what they wrote. */
  edits: { send: 15, edit: 60, delete: 4 }
} as const

export type Shape = ReturnType<typeof shapeOf>

export const shapeOf = (random: Random) => {
  const shape = drawn(random)
  // Not drawn: what a seed plays is otherwise as it was before there was this.
  const unstoredBytesMax = [1_024, 8_192, 131_072][shape.mutationsMax % 3] ?? 1
  return { ...shape, bounds: { ...shape.bounds, unstoredBytesMax } }
}

const drawn = (random: Random) => ({
  hosts: random.next() < 0.25 ? ["n1", "n2"] : ["n1", "n2", "n3"],
  shardCount: random.between(1, 4),
  positions: random.next() < 0.5 ? ("shared" as const) : ("dense" as const),
  atomicStores: random.next() < 0.5,
  appendWaitMs: random.between(300, 3_000),
  bounds: {
    residentBytesMax: random.pick([1, 20_000, 33_554_432]) ?? 1,
    warmBytesMax: random.pick([1, 20_000, 33_554_432]) ?? 1,
    checkpointBytes: random.pick([1_500, 6_000, 4_194_304]) ?? 1,
    commitWindowMs: random.pick([0, 3]) ?? 0,
    incrementalTicks: 2,
    cursorTicks: 6,
    fanoutThreshold: random.next() < 0.3 ? 3 : 200
  },
  detachGraceMs: random.pick([0, 2_000, 30_000]) ?? 0,
  pauseMs: random.pick([30, random.between(300, 3_000)]) ?? 30,
  mutationsMax: random.between(20, 160),
  troubleMs: random.between(troubleMs.low, troubleMs.high),
  busyWith: busyWith[random.weighted({ usual: 4, members: 3, reads: 2, edits: 2 })],
  /** Of so many events of a channel the stores never take one; 0: they take all. */
  poisonEvery: random.next() < 0.2 ? random.between(4, 20) : 0,
  /** What is tried when all is checked: each needs a cluster that is at rest. */
  then: random.weighted({ nothing: 6, logLost: 2, presence: 1 })
})
