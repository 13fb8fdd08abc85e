/**
 * What `parley serve` runs. Embedded, log and stores are SQLite in one data directory and the bus is a function call; in a
 * cluster these layers are others, and nothing else changes. Only what a node needs is loaded: the clients of the
 * services are a fifth of the start of one that is alone.
 */
import { Effect, Layer } from "effect"
import type * as ClusterNode from "./ClusterNode.ts"
import { Listening } from "./edge/Edge.ts"
import type * as EmbeddedNode from "./EmbeddedNode.ts"
import { NodeConfig, type NodeSettings } from "./NodeConfig.ts"
import { isRunner, isWorkerOnly } from "./NodeIdentity.ts"

/** Of all that a node is made of, the command needs to know where it listens. */
const layerListening = Layer.effect(
  Listening,
  Effect.map(Listening, (listening) => listening)
)

type Embedded = typeof EmbeddedNode
type Clustered = typeof ClusterNode
type NodeLayer = Layer.Layer<
  Listening,
  Layer.Error<Embedded["layerEmbeddedNode"]> | Layer.Error<Clustered[keyof Clustered]>,
  NodeConfig
>

const clustered = (
  settings: NodeSettings,
  { layerClusterNode, layerEdgeNode, layerWorkerNode }: Clustered
): NodeLayer => {
  if (isRunner(settings)) return layerListening.pipe(Layer.provide(layerClusterNode))
  if (isWorkerOnly(settings)) return layerListening.pipe(Layer.provide(layerWorkerNode))
  return layerListening.pipe(Layer.provide(layerEdgeNode))
}

/** Everything, but the settings. */
export const layerNode = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    if (settings.cluster !== "") return clustered(settings, yield* Effect.promise(() => import("./ClusterNode.ts")))
    const { layerEmbeddedNode } = yield* Effect.promise(() => import("./EmbeddedNode.ts"))
    const layer: NodeLayer = layerListening.pipe(Layer.provide(layerEmbeddedNode))
    return layer
  })
)
