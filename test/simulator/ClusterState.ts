/** A cluster looked at from outside: whether it is at rest, what its nodes think, and what devices hold by themselves. */
import { memberFanoutConsumer, persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { type DeviceView, type FinalState, viewDifferences } from "../checker/FinalState.ts"
import type { Found } from "./LogTruth.ts"
import type { Cluster } from "./SimNode.ts"

/** For whoever looks into a failed run. */
export const clusterState = ({ log, nodes, shardCount }: Cluster): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const { process, runner } of nodes.values()) {
    for (const owner of runner.owners) {
      const { epoch, log: shardLog, serving, shard, state, storePosition, storeReady } = owner
      const { entries } = shardLog.uncommitted
      lines.push(
        `${process.name} shard ${shard} epoch ${epoch}: ${state}, ${serving ? "" : "not "}serving, log ${shardLog.state}, ${entries} uncommitted, store at ${storePosition}${storeReady ? "" : ", not ready"}`
      )
    }
  }
  for (const { edge, process } of nodes.values()) {
    for (let shard = 1; shard <= shardCount; shard++) {
      for (const topic of edge.runtime.topics.ofShard(shard)) {
        const { attachedIn, name, repairTries, sequence, size } = topic
        const { interest } = edge.runtime
        lines.push(
          `${process.name} edge: ${name} size ${size} delivered ${sequence.delivered}${sequence.repairing ? ` repairing, ${repairTries} tries` : ""}, attached in ${attachedIn} of ${interest.roundOf(shard)}, epoch ${interest.epochOf(shard)}, asking ${interest.isAsking(shard, name)}`
        )
      }
    }
  }
  for (let shard = 1; shard <= shardCount; shard++) {
    const consumers = [persisterConsumer, memberFanoutConsumer].map(
      (name) => `${name} at ${log.positionOf(name, shard)}`
    )
    lines.push(`the log of shard ${shard} ends at ${log.records(shard).at(-1)?.position}, ${consumers.join(", ")}`)
  }
  return lines
}

/** All shards are served, and the log is written behind. */
export const isQuiet = ({ log, nodes, shardCount }: Cluster): boolean => {
  const served = new Set([...nodes.values()].flatMap((node) => node.serving))
  for (let shard = 1; shard <= shardCount; shard++) {
    const last = log.records(shard).at(-1)?.position ?? 0
    if (!served.has(shard)) return false
    if ([persisterConsumer, memberFanoutConsumer].some((name) => log.positionOf(name, shard) < last)) return false
  }
  return true
}

/**
 * NO-GAP-SYNC without asking: what came by itself, and by the repair of links, before anybody connected again. A cursor that
 * another device moved is shown in passing, and what is unread follows from it: those are compared after the next sync.
 */
export const compareUnasked = (before: ReadonlyArray<DeviceView>, final: FinalState): ReadonlyArray<Found> =>
  before.flatMap(({ channels, device, session, user }) => {
    const fresh = final.fresh.find((view) => view.user === user)
    if (fresh === undefined) return []
    const here = new Map(
      [...channels].map(([channel, view]) => {
        const { cursor, mentions, unread } = fresh.channels.get(channel) ?? view
        return [channel, { ...view, cursor, mentions, unread }]
      })
    )
    return viewDifferences({ user, session, channels: here }, fresh).map((difference) => ({
      invariant: "NO-GAP-SYNC",
      what: `${device}, before it connected again: ${difference}`
    }))
  })
