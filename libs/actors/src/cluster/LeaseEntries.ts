/**
 * What the lease bucket holds, an entry a key. All of it lies in one stream on purpose: whoever has seen an entry has
 * seen everything that was written before it, and the keeper of leases builds on that (`LeaseKeeper`).
 *
 *   settings        what all nodes must agree on (†2)
 *   runner.<name>   a runner's heartbeat; all its shards live by it
 *   worker.<name>   a worker's heartbeat; which shards it works on follows from what is here (`WorkPlacement`)
 *   shard.<number>  who holds a shard, and its epoch; written once a change of holder, never deleted
 *   machine.<id>    who has a machine id
 *   cordon.<name>   an operator's wish: takes no more shards
 *   move.<number>   an operator's wish: this shard to that runner
 *   balance.step    what the runners move by themselves because of its load (`LoadBalance`); never deleted
 *
 * Entries are JSON; fields that are not known are ignored, an entry that can't be read is as none.
 */
import { Option, Schema } from "effect"

const RunnerEntry = Schema.Struct({
  /** `draining` hands its shards over; `gone` has none and says goodbye. */
  state: Schema.Literals(["active", "draining", "gone"]),
  /** How many shards it is to have, relative to others. */
  weight: Schema.Finite,
  /** Counts the heartbeats of this runner. */
  beat: Schema.Int,
  /** It carries out what `balance.step` says. Not there: it is of a release that does not know it. */
  balances: Schema.optionalKey(Schema.Boolean),
  /** False: it leaves the consumers of its shards' logs to workers, while there are any. */
  works: Schema.optionalKey(Schema.Boolean)
})
export type RunnerEntry = typeof RunnerEntry.Type

const WorkerEntry = Schema.Struct({
  /** `gone` works on nothing any more. */
  state: Schema.Literals(["active", "gone"]),
  beat: Schema.Int
})
export type WorkerEntry = typeof WorkerEntry.Type

const ShardEntry = Schema.Struct({
  /** Empty: nobody. */
  runner: Schema.String,
  /** Of this holder, or of the last one; each holder's is above the one before. */
  epoch: Schema.Int
})
export type ShardEntry = typeof ShardEntry.Type

const BalanceMove = Schema.Struct({ shard: Schema.Int, from: Schema.String, to: Schema.String })
export type BalanceMove = typeof BalanceMove.Type

const BalanceEntry = Schema.Struct({
  /** Under way, all together; none: nothing is. */
  moves: Schema.Array(BalanceMove),
  /** The last ones that were begun, the newest last, those under way among them. */
  recent: Schema.Array(BalanceMove),
  /** How many were ever begun. */
  count: Schema.Int
})
export type BalanceEntry = typeof BalanceEntry.Type
export const noBalance: BalanceEntry = { moves: [], recent: [], count: 0 }

const NamedRunner = Schema.Struct({ runner: Schema.String })
const Settings = Schema.Struct({ shardCount: Schema.Int })

const reader = <A>(schema: Schema.Codec<A, string>) => {
  const decode = Schema.decodeUnknownOption(schema)
  return (text: string): A | undefined => Option.getOrUndefined(decode(text))
}

export const readRunner = reader(Schema.fromJsonString(RunnerEntry))
export const readWorker = reader(Schema.fromJsonString(WorkerEntry))
export const readShard = reader(Schema.fromJsonString(ShardEntry))
export const readNamedRunner = reader(Schema.fromJsonString(NamedRunner))
export const readBalance = reader(Schema.fromJsonString(BalanceEntry))
export const readSettings = reader(Schema.fromJsonString(Settings))

export const settingsKey = "settings"
export const runnerKey = (name: string) => `runner.${name}`
export const workerKey = (name: string) => `worker.${name}`
export const shardKey = (shard: number) => `shard.${shard}`
export const machineKey = (id: number) => `machine.${id}`
export const cordonKey = (name: string) => `cordon.${name}`
export const balanceKey = "balance.step"
export const moveKey = (shard: number) => `move.${shard}`

/** A runner's name is a token of keys and subjects. */
export const runnerNamePattern = /^[A-Za-z0-9_-]{1,100}$/
