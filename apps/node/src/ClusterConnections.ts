/** How a node of a cluster comes to NATS: addresses, login, TLS, and where it is answered. */
import type { NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer } from "effect"
import { subjectsOf } from "@parley/actors/cluster/Subjects"
import { connectNats, type NatsOptions } from "@parley/storage/jetstream/Nats"
import { NodeConfig, type NodeSettings } from "./NodeConfig.ts"
import { clusterPrefix, nodeName } from "./NodeIdentity.ts"

/** `purpose` shows in NATS's own lists of connections. */
const connection = (settings: NodeSettings, purpose: string): NatsOptions => ({
  servers: settings.nats,
  inOrder: settings.natsInOrder,
  name: `parley ${nodeName(settings)} ${purpose}`,
  // A place of its own: whoever may read it sees what this node is answered.
  inboxPrefix: subjectsOf(clusterPrefix(settings)).answersTo(nodeName(settings)),
  ...natsTls(settings)
})

const natsTls = ({ natsCa, natsCert, natsKey }: NodeSettings): Pick<NatsOptions, "tls"> =>
  natsCa === "" && natsCert === ""
    ? {}
    : {
        tls: {
          ...(natsCa === "" ? {} : { caFile: natsCa }),
          ...(natsCert === "" ? {} : { certFile: natsCert, keyFile: natsKey })
        }
      }

const login = (user: string, password: NatsOptions["password"], nkeySeedFile: string): Partial<NatsOptions> => ({
  ...(user === "" || password === undefined ? {} : { user, password }),
  ...(nkeySeedFile === "" ? {} : { nkeySeedFile })
})

export const natsOptions = (settings: NodeSettings, purpose: string): NatsOptions => ({
  ...connection(settings, purpose),
  ...login(settings.natsUser, settings.natsPassword, settings.natsNkeySeed)
})

/** As the system account's user, which shares nothing with the node's own but addresses and TLS. */
export const natsSystemOptions = (settings: NodeSettings): NatsOptions | undefined =>
  settings.natsSystemUser === "" && settings.natsSystemNkeySeed === ""
    ? undefined
    : {
        ...connection(settings, "check"),
        ...login(settings.natsSystemUser, settings.natsSystemPassword, settings.natsSystemNkeySeed)
      }

/** One connection each, besides that of leases and log, so that a burst of delivery delays no call and no lease. */
export class ClusterConnections extends Context.Service<
  ClusterConnections,
  { readonly calls: NatsConnection; readonly links: NatsConnection }
>()("@parley/node/ClusterConnections") {
  static readonly layer = Layer.effect(
    ClusterConnections,
    Effect.gen(function* () {
      const settings = yield* NodeConfig
      const calls = yield* connectNats(natsOptions(settings, "calls"))
      const links = yield* connectNats(natsOptions(settings, "links"))
      return { calls, links }
    })
  )
}
