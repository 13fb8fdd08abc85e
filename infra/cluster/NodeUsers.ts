/**
 * The users that nodes of the local cluster are at NATS: each one its own, with the permissions of a node that runs
 * shards and no others, as in production. So whatever runs on the local cluster, the tests of faults as well, shows that
 * the permissions suffice.
 */
import { runnerBusGrants } from "@parley/actors/cluster/BusGrants"
import { subjectsOf } from "@parley/actors/cluster/Subjects"
import { logGrants, systemGrants } from "@parley/storage/jetstream/LogGrants"
import { joinGrants, type NatsGrants } from "@parley/storage/NatsGrants"
import type { NatsOptions } from "../services/Nats.ts"
import type { NatsUser } from "../services/NatsServerConfig.ts"

/** The local cluster's name, and what its names at NATS begin with. */
export const localCluster = "local"
const prefix = `parley-${localCluster}`
/** The default of `--log-streams`. */
const logStreams = 4

export const systemUserOf = (node: string): string => `${node}-check`

export const permissionsOf = ({ publish, subscribe }: NatsGrants): NonNullable<NatsUser["permissions"]> => ({
  publish: { allow: publish },
  subscribe: { allow: subscribe }
})

const logOfCluster = logGrants(prefix, logStreams)

/** For `startServices`. */
export const nodeUsers = (nodes: ReadonlyArray<string>): NatsOptions => ({
  users: (password) =>
    nodes.map((node) => {
      const bus = runnerBusGrants({ prefix, bucket: `${prefix}-leases`, node })
      return { user: node, password, permissions: permissionsOf(joinGrants(bus, logOfCluster)) }
    }),
  systemUsers: (password) =>
    nodes.map((node) => ({
      user: systemUserOf(node),
      password,
      permissions: permissionsOf(systemGrants(subjectsOf(prefix).answersTo(node)))
    }))
})
