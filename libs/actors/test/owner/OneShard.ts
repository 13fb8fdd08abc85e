/** A runner with the lease of one shard, not opened yet, over the stores of the test and with nobody to consume its log. */
import { ChannelStore } from "@parley/storage/ChannelStore"
import { CursorStore } from "@parley/storage/CursorStore"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { Inbox } from "@parley/storage/Inbox"
import { MessageStore } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { Effect } from "effect"
import type { OwnerStores } from "../../src/owner/OwnerContext.ts"
import type { ChannelRequest } from "../../src/owner/OwnerProtocol.ts"
import { Runner, type RunnerOptions } from "../../src/owner/Runner.ts"

export const shard = 1

export const oneShardRunner = Effect.fnUntraced(function* (
  stores: Partial<OwnerStores> = {},
  options: Partial<Omit<RunnerOptions, "stores">> = {}
) {
  const runner = new Runner({
    name: "runner",
    shardCount: 1,
    log: yield* EventLog,
    stores: {
      channels: yield* ChannelStore,
      messages: yield* MessageStore,
      directory: yield* Directory,
      cursors: yield* CursorStore,
      inbox: yield* Inbox,
      parked: yield* ParkedEvents,
      ...stores
    },
    publish: () => {},
    ...options
  })
  runner.setLease(shard, Number.POSITIVE_INFINITY)
  return runner
})

/** Asks the shard's owner; a failure, and that it is somebody else's, ends the test. */
export const ask = <A>(runner: Runner, request: ChannelRequest): Effect.Effect<A> =>
  Effect.callback<A>((resume) =>
    runner.request(
      shard,
      runner.epochOf(shard),
      request,
      // as: the answer of this kind of request
      (reply) => resume("ok" in reply ? Effect.succeed(reply.ok as A) : Effect.die(reply.failure)),
      () => resume(Effect.die("not mine"))
    )
  )
