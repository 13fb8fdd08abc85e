/**
 * What a node needs at NATS for calls, links, hints and leases, by what it does. An edge asks runners and reads who owns
 * what; it writes no lease, answers nobody, and hears nothing that is meant for another node. A node that runs shards is
 * trusted with all shards: any of them may become its own. A worker asks sessions' owners, says what is stored, and writes
 * its own heartbeat; it answers no call and writes no lease. With `logGrants` that is all that a node does at NATS.
 */
import {
  jetStreamGrants,
  type NatsGrants,
  streamGrants,
  streamReaderGrants,
  watchGrants
} from "@parley/storage/NatsGrants"
import { workerKey } from "./LeaseEntries.ts"
import { subjectsOf, workerName } from "./Subjects.ts"

export interface BusGrantsOptions {
  readonly prefix: string
  /** The lease bucket's name. */
  readonly bucket: string
  /** The node's own name, which its inbox and its links have in their subjects. */
  readonly node: string
}

const common = ({ node, prefix }: BusGrantsOptions): NatsGrants => {
  const subjects = subjectsOf(prefix)
  return {
    publish: [...jetStreamGrants, `${prefix}.run.*`, `${prefix}.entities.*`, `${prefix}.work.>`, subjects.edges],
    subscribe: [
      `${subjects.answersTo(node)}.>`,
      subjects.edgesOf(node),
      subjects.edges,
      subjects.loads,
      subjects.owned,
      subjects.hint
    ]
  }
}

export const edgeBusGrants = (options: BusGrantsOptions): NatsGrants => {
  const { publish, subscribe } = common(options)
  const leases = `KV_${options.bucket}`
  return { publish: [...publish, ...streamReaderGrants(leases), ...watchGrants(leases)], subscribe }
}

export const runnerBusGrants = (options: BusGrantsOptions): NatsGrants => {
  const { bucket, prefix } = options
  const subjects = subjectsOf(prefix)
  const { publish, subscribe } = common(options)
  const leases = `KV_${bucket}`
  return {
    publish: [
      ...publish,
      // Answers to any node, live delivery to any edge.
      `${prefix}.in.>`,
      `${prefix}.edge.>`,
      subjects.loads,
      subjects.owned,
      subjects.hint,
      `$KV.${bucket}.>`,
      ...streamGrants(leases),
      ...watchGrants(leases)
    ],
    subscribe: [...subscribe, `${prefix}.run.*`, `${prefix}.entities.*`, `${prefix}.work.*`]
  }
}

export const workerBusGrants = ({ bucket, node, prefix }: BusGrantsOptions): NatsGrants => {
  const subjects = subjectsOf(prefix)
  const leases = `KV_${bucket}`
  // Of any start of it: the last token of a worker's name.
  const own = workerName(node, "*")
  return {
    publish: [
      ...jetStreamGrants,
      `${prefix}.run.*`,
      subjects.hint,
      // Answers to wishes about parked events, and to nothing else.
      `${prefix}.in.*.parked.*`,
      `$KV.${bucket}.${workerKey(own)}`,
      ...streamReaderGrants(leases),
      ...watchGrants(leases)
    ],
    subscribe: [`${subjects.answersTo(node)}.>`, subjects.workOf(node), subjects.owned, subjects.hint]
  }
}
