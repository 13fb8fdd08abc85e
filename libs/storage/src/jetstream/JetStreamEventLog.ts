/**
 * The log of a cluster: JetStream, one subject a shard, over one or more streams of three replicas on disk. A record is
 * on stable storage on a quorum before it settles (DURABLE-BEFORE-ACK); the expected last sequence of its subject is
 * the fence (SINGLE-WRITER). Positions are the stream's sequences: shared by its shards, increasing, not dense.
 *
 * Nothing is cached that decides: what is last is the leader's to say, each time.
 */
import { Context, Effect, Layer, Option, Schedule } from "effect"
import { EventLog, LogDamaged, LogUnavailable } from "../EventLog.ts"
import { AppendQueue } from "./AppendQueue.ts"
import { ConsumerPositions } from "./ConsumerPositions.ts"
import { DirectGet } from "./DirectGet.ts"
import { JetStreamSetup, type JetStreamSetupOptions } from "./JetStreamSetup.ts"
import { LogFront } from "./LogFront.ts"
import { LogHealth, Silence } from "./LogHealth.ts"
import { LogReads } from "./LogReads.ts"
import { Nats } from "./Nats.ts"
import { Publisher } from "./Publisher.ts"
import { StreamRoom } from "./StreamRoom.ts"

/** Consumers' positions are stored so often; a crash repeats what they did since. */
export const positionsStoreMs = 1_000

/** At closing no longer is waited for that. */
const closeMsMax = 5_000
/** A stream may be without a leader when a node starts. */
const firstLookMsMax = 15_000
const retryMs = 250

const ask = <A>(request: () => Promise<A>): Effect.Effect<A, LogUnavailable> =>
  Effect.tryPromise({ try: request, catch: (cause) => new LogUnavailable({ cause }) })

const make = Effect.gen(function* () {
  const { log, options } = yield* Nats
  const { hardBytes, manager, recordBytesMax, softBytes, streams, warnings } = yield* JetStreamSetup
  const direct = new DirectGet(log, options.inboxPrefix)
  // A consumer that meets a cut looks at once where it was cut, and that was stored before (DESIGN §5.9).
  const reads = new LogReads({ connection: log, streams, manager, direct, onPurged: () => positions.expire() })
  const rooms = streams.names.map(
    (name) =>
      new StreamRoom({
        softBytes: softBytes / streams.count,
        look: () => reads.bytesIn(name),
        now: () => performance.now()
      })
  )
  const look = ask(() => Promise.all(rooms.map((room) => room.look())))
  yield* look.pipe(Effect.retry(Schedule.max([Schedule.spaced(retryMs), Schedule.during(firstLookMsMax)])))
  const publisher = yield* Effect.acquireRelease(
    Effect.sync(
      () => new Publisher(log, options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix })
    ),
    (publisher) => Effect.sync(() => publisher.close())
  )
  const silence = new Silence(streams.names)
  const appends = new AppendQueue({
    silence,
    streams,
    publisher,
    rooms,
    recordBytesMax,
    committed: (shard, follows, record) => reads.appended(shard, follows, record),
    unknown: (shard) => reads.forget(shard)
  })
  const positions = new ConsumerPositions({ streams, manager, direct, publisher })
  yield* storePositions(positions)
  const front = new LogFront({
    streams,
    softBytes: softBytes / streams.count,
    positions,
    reads,
    look: (stream) => reads.front(stream),
    cut: (stream, upTo) => reads.cutFront(stream, upTo)
  })

  const eventLog = EventLog.of({
    append: (append) => appends.append(append),
    hurry: () => appends.hurry(),
    last: (shard) => ask(() => reads.last(shard)).pipe(Effect.map(Option.fromUndefinedOr)),
    read: (shard, position) => ask(() => reads.read(shard, position)).pipe(Effect.map(Option.fromUndefinedOr)),
    readAfter: (shard, after, bytesMax) =>
      Effect.tryPromise({
        try: () => reads.readAfter(shard, after, bytesMax),
        catch: (cause) => (cause instanceof LogDamaged ? cause : new LogUnavailable({ cause }))
      }),
    own: (shard, after, bytesMax) => reads.own(shard, after, bytesMax),
    purge: (shard, upTo) =>
      ask(async () => {
        // What a consumer has done with must be known for good before the record of it goes.
        await positions.store(shard)
        if (await reads.purge(shard, upTo)) await rooms[streams.streamOf(shard)]?.look()
      }),
    spare: (shard, upTo) =>
      ask(async () => {
        if (await front.spare(shard, upTo)) await rooms[streams.streamOf(shard)]?.look()
      }),
    known: (shard) => reads.known(shard),
    newest: (shard) => reads.newest(shard),
    // As if every stream were as full as the fullest: the log is full where one of them is.
    usage: look.pipe(
      Effect.map(() => ({
        bytes: streams.count * Math.max(...rooms.map((room) => room.bytes)),
        softBytes,
        hardBytes
      }))
    ),
    shards: ask(() => reads.shards()),
    consumerPosition: (consumer, shard) => ask(() => positions.get(consumer, shard)),
    setConsumerPosition: (consumer, shard, position) =>
      Effect.sync(() => {
        positions.move(consumer, shard, position)
        reads.consumed(consumer, shard, position)
      })
  })
  const health = LogHealth.of({ state: () => ({ connected: publisher.connected, ...silence.state, warnings }) })
  return Context.make(EventLog, eventLog).pipe(Context.add(LogHealth, health))
})

/** In rounds while the log is open, and all of them when it is closed. Said once where it does not work. */
const storePositions = (positions: ConsumerPositions) =>
  Effect.gen(function* () {
    let failing = false
    const storing = (write: () => Promise<void>) =>
      ask(write).pipe(
        Effect.match({
          onSuccess: () => {
            failing = false
            return Effect.void
          },
          onFailure: ({ message }) => {
            const said = failing
            failing = true
            const warning = "Consumers' positions are not stored; what they did since would be done again"
            return said ? Effect.void : Effect.logWarning(warning).pipe(Effect.annotateLogs({ why: message }))
          }
        }),
        Effect.flatten
      )
    yield* Effect.addFinalizer(() => storing(() => positions.store()).pipe(Effect.timeoutOption(closeMsMax)))
    yield* storing(() => positions.storeSome()).pipe(
      Effect.repeat(Schedule.spaced(positionsStoreMs)),
      Effect.forkScoped
    )
  })

const layer: Layer.Layer<EventLog | LogHealth, LogUnavailable, Nats | JetStreamSetup> = Layer.effectContext(make)

export const JetStreamEventLog = {
  layer,
  /** With the streams that it needs. */
  layerSetup: (options: JetStreamSetupOptions) => layer.pipe(Layer.provideMerge(JetStreamSetup.layer(options)))
}
