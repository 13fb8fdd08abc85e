/**
 * Known defects, built in on demand: of those that break a promise, so that the tests of the invariants can be tested, for
 * each must be found; and of one that the node has to live through. Only with `--unsafe-log`. No production path comes here.
 */
import { writeSync } from "node:fs"
import { Effect, Layer } from "effect"
import { speakNextWire } from "@parley/actors/cluster/codec/WireRelease"
import { LocalBus } from "@parley/actors/fanout/LocalBus"
import { EventLog } from "@parley/storage/EventLog"
import { speakNextToClients } from "./edge/ClientRelease.ts"
import { NodeConfig } from "./NodeConfig.ts"

/** Link messages that arrive empty, one in so many. */
const blankOneIn = 20
/** Well above the lag at which a node says that it is overloaded. */
const stallMs = 2_000

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

/** At each SIGUSR2 the event loop says so and stands still for a while, as some loop without an end in sight would have it. */
export const layerStall = Layer.effectDiscard(
  Effect.acquireRelease(
    Effect.sync(() => process.on("SIGUSR2", stall)),
    () => Effect.sync(() => process.off("SIGUSR2", stall))
  )
)

const stall = () => {
  // At once: nothing else is written before it is over.
  writeSync(1, "the event loop stands still\n")
  for (const until = performance.now() + stallMs; performance.now() < until;);
}

/** Link messages lose what they carry, and nothing tells the edge (against NO-GAP-SYNC). */
export const layerLoseLastLink = Layer.effectDiscard(
  Effect.gen(function* () {
    const bus = yield* LocalBus
    let turn = 0
    bus.setLinkFault((message) => (message.items.length > 0 && ++turn % blankOneIn === 0 ? "blank" : "deliver"))
  })
)

/**
 * No defect: the release after this one, which reads this one's wire and its own, and writes this one's until it is told
 * (`next-release-alone`) that all others read its own.
 */
export const layerNextRelease = Layer.effectDiscard(
  Effect.gen(function* () {
    const { testFault } = yield* NodeConfig
    if (testFault !== "next-release" && testFault !== "next-release-alone") return
    yield* Effect.acquireRelease(
      Effect.sync(() => [speakNextWire(testFault === "next-release-alone"), speakNextToClients()]),
      (undo) => Effect.sync(() => undo.forEach((it) => it()))
    )
  })
)
