/**
 * Known defects, built in on demand, so that the tests of the invariants can be tested: each must be found. Only with
 * `--unsafe-log`. No production path comes here.
 */
import { Effect, Layer } from "effect"
import { LocalBus } from "@parley/actors/fanout/LocalBus"
import { EventLog } from "@parley/storage/EventLog"

/** Link messages that arrive empty, one in so many. */
const blankOneIn = 20

/** Answers "committed" as soon as the log takes an append, before it is on the disk (against DURABLE-BEFORE-ACK). */
export const layerAckBeforeCommit = Layer.effect(
  EventLog,
  Effect.gen(function* () {
    const log = yield* EventLog
    return EventLog.of({
      ...log,
      append: ({ expectedLast, reserved, seal, settle, shard }) => {
        const bytes = seal()
        setImmediate(() => settle({ _tag: "Committed", position: expectedLast + 1 }))
        // Late, so that a crash in between shows.
        setTimeout(() => log.append({ shard, expectedLast, reserved, seal: () => bytes, settle: () => {} }), 200)
      }
    })
  })
)

/** Link messages lose what they carry, and nothing tells the edge (against NO-GAP-SYNC). */
export const layerLoseLastLink = Layer.effectDiscard(
  Effect.gen(function* () {
    const bus = yield* LocalBus
    let turn = 0
    bus.setLinkFault((message) => (message.items.length > 0 && ++turn % blankOneIn === 0 ? "blank" : "deliver"))
  })
)
