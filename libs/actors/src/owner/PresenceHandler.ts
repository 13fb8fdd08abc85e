/**
 * The presence shard's thin shell: takes the reports of edges, and tells each edge that listens what changed of users
 * it watches. Nothing of it is logged (EPHEMERAL-IS-EPHEMERAL); a new owner starts empty, under a new epoch, and says
 * nobody is offline before every live edge has reported or a grace period has passed (†6).
 */
import {
  presenceDeltas,
  presenceReport,
  PresenceState,
  presenceView,
  presenceWatch
} from "../presence/PresenceState.ts"
import { inspectPresence } from "./Inspect.ts"
import type { PresenceRequest } from "./OwnerProtocol.ts"
import { presenceTopic } from "./OwnerProtocol.ts"
import type { Reply, ShardOwner } from "./ShardOwner.ts"

export class PresenceHandler {
  readonly owner: ShardOwner
  readonly state: PresenceState

  constructor(owner: ShardOwner) {
    this.owner = owner
    this.state = PresenceState.empty(owner.shard, owner.epoch, owner.context.now())
  }

  get version(): number {
    return this.state.n
  }

  request(request: PresenceRequest, reply: Reply): void {
    const now = this.owner.context.now()
    switch (request._tag) {
      case "Report":
        presenceReport(this.state, request.edge, request.full, request.devices, now)
        this.#show(now)
        return reply({ ok: {} })
      case "Watch":
        presenceWatch(this.state, request.edge, request.users, now)
        return reply({ ok: presenceView(this.state, request.users, now) })
      case "InspectPresence":
        return reply({ ok: inspectPresence(this.owner, this.state) })
    }
  }

  tick(): void {
    this.#show(this.owner.context.now())
  }

  #show(now: number): void {
    const users = presenceDeltas(this.state, now)
    if (users.length === 0) return
    const { shard } = this.owner
    this.owner.publish({
      _tag: "Presence",
      topic: presenceTopic(shard),
      shard,
      epoch: this.owner.epoch,
      n: this.state.n,
      users
    })
  }
}
