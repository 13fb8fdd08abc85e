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
