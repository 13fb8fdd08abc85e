/**
 * The owner's process of `remotecalls`: a runner that answers every send with an ack at once, and a plain responder of the
 * same size beside it. Tells its CPU time when asked.
 */
import { connect } from "@nats-io/transport-node"
import { Context, Effect, Layer } from "effect"
import { MemoryOwnerDirectory } from "@parley/actors/cluster/MemoryOwnerDirectory"
import { NatsBus } from "@parley/actors/cluster/NatsBus"
import type { LocalRunner } from "@parley/actors/owner/LocalRunner"
import { ShardRoutes } from "@parley/actors/owner/ShardRoutes"
import { ownerName, plainReply, plainSubject, shardCount } from "./Shape.ts"

const [, , server = "", prefix = ""] = process.argv

const ack = { ok: { seq: 123_456, n: 123_000, at: 1_764_380_000_000, generation: 0 } }

const runner: LocalRunner = {
  name: ownerName,
  epochOf: () => 1,
  serves: () => true,
  request: (_shard, _epoch, _request, reply) => reply(ack),
  attach: (_epoch, _attach, _reply, notMine) => notMine(),
  detach: () => {},
  resend: () => {}
}

const calls = await connect({ servers: server })
const links = await connect({ servers: server })
const bus = NatsBus.layer({ calls, links, prefix, shardCount }).pipe(Layer.provide(new MemoryOwnerDirectory().layer))

/** Answers for as long as the process lives. */
await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const routes = Context.get(yield* Layer.build(bus), ShardRoutes)
      for (let shard = 1; shard <= shardCount; shard++) routes.own(shard, runner)
      calls.subscribe(plainSubject(prefix), { callback: (_error, message) => void message.respond(plainReply) })
      yield* Effect.promise(() => calls.flush())
      process.on("message", () => process.send?.(process.cpuUsage()))
      process.send?.("ready")
      return yield* Effect.never
    })
  )
)
