/**
 * Everything behind the edge, as one list of layers: the bus, the runner with its entities, the consumers. What differs
 * between one machine and a cluster is what is provided to it: log, stores, bus.
 */
import { Layer } from "effect"
import { layerLocalCluster, type LocalClusterOptions } from "@parley/actors/cluster/LocalCluster"
import { CommitSignal } from "@parley/actors/fanout/CommitSignal"
import { LocalBus } from "@parley/actors/fanout/LocalBus"
import { ParkedOperations } from "@parley/actors/fanout/Parking"
import { layerMemberFanout } from "@parley/actors/fanout/MemberFanout"
import { layerPersister } from "./workers/Persister.ts"

/** Needs a bus, the log and the stores. The consumers stop before the runner, the runner before the log. */
export const layerRuntimeOverBus = (options: LocalClusterOptions) =>
  layerMemberFanout.pipe(
    Layer.provideMerge(layerPersister),
    Layer.provideMerge(layerLocalCluster(options)),
    Layer.provideMerge(ParkedOperations.layer)
  )

/** Within one process. Needs the log and the stores. */
export const layerRuntime = (options: LocalClusterOptions) =>
  layerRuntimeOverBus(options).pipe(
    Layer.provideMerge(LocalBus.layer({ shardCount: options.shardCount })),
    Layer.provideMerge(CommitSignal.layer)
  )
