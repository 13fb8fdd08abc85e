/**
 * Parked events in a cluster: a wish is passed on over NATS to the process that works on the shard, for only that one
 * knows what its consumers have under way. Any node may be asked. A wish that nobody answers was carried out or not;
 * repeating it is harmless.
 */
import { randomBytes } from "node:crypto"
import type { Msg, NatsConnection } from "@nats-io/transport-node"
import { Effect, Layer, Option, Schema } from "effect"
import { ClusterWork } from "@parley/actors/cluster/ClusterWork"
import { subjectsOf } from "@parley/actors/cluster/Subjects"
import { ParkedOperations } from "@parley/actors/fanout/Parking"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { ParkedEventInfo, ParkedRetried, ParkedTopic } from "@parley/protocol/HttpApi"
import { ClusterConnections } from "../ClusterConnections.ts"
import { NodeConfig } from "../NodeConfig.ts"
import { clusterPrefix, nodeName } from "../NodeIdentity.ts"
import { DeskFailed, deskOf, type ParkedDesk, ParkedDeskHere, parkedListMax } from "./ParkedDesk.ts"

/** Thousands of parked events are tried again one after the other. */
const answerMsMax = 60_000
/** Wishes that one process works on at a time; operators are few. */
const wishesAtOnceMax = 4
/** Of a list that is passed on, below what NATS takes; what is beyond is left out, as beyond the list's limit. */
const listBytesMax = 524_288
/** What NATS answers where nobody listens. */
const noResponders = 503

const of = { consumer: Schema.String, topic: ParkedTopic, id: Schema.String }
const Wish = Schema.TaggedUnion({
  List: { limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: parkedListMax })) },
  Retry: of,
  Drop: { ...of, seq: Schema.Int }
})
type Wish = typeof Wish.Type

const Answer = Schema.TaggedUnion({
  Listed: { events: Schema.Array(ParkedEventInfo) },
  Retried: { retried: ParkedRetried },
  Failed: { code: DeskFailed.fields.code, detail: DeskFailed.fields.detail }
})
type Answer = typeof Answer.Type

const readWish = Schema.decodeUnknownOption(Schema.fromJsonString(Wish))
const readAnswer = Schema.decodeUnknownOption(Schema.fromJsonString(Answer))

/** `name`: that of this process in the cluster, where it has consumers; else the empty string. */
export const layerParkedElsewhere = (name: string) =>
  Layer.effect(
    ParkedDeskHere,
    Effect.gen(function* () {
      const settings = yield* NodeConfig
      const { calls: connection } = yield* ClusterConnections
      const { shardOf } = yield* OwnerCalls
      const work = yield* ClusterWork
      const here = deskOf(yield* ParkedOperations)
      const subjects = subjectsOf(clusterPrefix(settings))
      if (name !== "") yield* answerWishes(connection, subjects.work(name), here)
      const ask = (worker: string | undefined, wish: Wish): Effect.Effect<Answer, DeskFailed> =>
        worker === undefined
          ? Effect.fail(new DeskFailed({ code: "unavailable", detail: "no process works on this shard now" }))
          : passOn(connection, subjects.work(worker), subjects.parked(nodeName(settings), fresh()), wish)
      const retried = (answer: Answer) =>
        answer._tag === "Retried" ? Effect.succeed(answer.retried) : Effect.fail(unanswered)
      const workerOf = (id: string) => work.workerOf(shardOf(id))
      const anyWorker = () => {
        for (let shard = 1; shard <= settings.shards; shard++) {
          const worker = work.workerOf(shard)
          if (worker !== undefined) return worker
        }
        return undefined
      }
      return {
        // The store has the list of all, where it can be asked here.
        list: (limit) =>
          name === ""
            ? Effect.flatMap(ask(anyWorker(), Wish.cases.List.make({ limit })), (answer) =>
                answer._tag === "Listed" ? Effect.succeed(answer.events) : Effect.fail(unanswered)
              )
            : here.list(limit),
        retry: (of) => {
          const worker = workerOf(of.id)
          return worker === name ? here.retry(of) : Effect.flatMap(ask(worker, Wish.cases.Retry.make(of)), retried)
        },
        drop: (of, seq) => {
          const worker = workerOf(of.id)
          return worker === name
            ? here.drop(of, seq)
            : Effect.flatMap(ask(worker, Wish.cases.Drop.make({ ...of, seq })), retried)
        }
      } satisfies ParkedDesk
    })
  )

const unanswered = new DeskFailed({ code: "unavailable" })
const fresh = (): string => randomBytes(9).toString("hex")

const passOn = (connection: NatsConnection, subject: string, inbox: string, wish: Wish) =>
  Effect.callback<Answer, DeskFailed>((resume) => {
    if (connection.isClosed()) return resume(Effect.fail(unanswered))
    const answers = connection.subscribe(inbox, {
      max: 1,
      timeout: answerMsMax,
      callback: (error, message) => {
        const answer =
          error !== null || message.headers?.code === noResponders ? Option.none() : readAnswer(message.string())
        if (Option.isNone(answer)) return resume(Effect.fail(unanswered))
        const { value } = answer
        if (value._tag !== "Failed") return resume(Effect.succeed(value))
        const { code, detail } = value
        resume(Effect.fail(new DeskFailed(detail === undefined ? { code } : { code, detail })))
      }
    })
    connection.publish(subject, JSON.stringify(wish), { reply: inbox })
    return Effect.sync(() => answers.unsubscribe())
  })

/** Answers wishes by the consumers of this process, until its scope closes. */
const answerWishes = Effect.fnUntraced(function* (connection: NatsConnection, subject: string, desk: ParkedDesk) {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const scope = yield* Effect.scope
  let underWay = 0
  const take = (message: Msg): void => {
    const answer = (answered: Answer) => Effect.sync(() => void message.respond(JSON.stringify(answered)))
    const wish = readWish(message.string())
    if (Option.isNone(wish) || underWay >= wishesAtOnceMax) {
      run(answer(Answer.cases.Failed.make({ code: "unavailable" })))
      return
    }
    underWay++
    const fulfilled = fulfil(desk, wish.value).pipe(
      Effect.catch(({ code, detail }) =>
        Effect.succeed(Answer.cases.Failed.make(detail === undefined ? { code } : { code, detail }))
      ),
      Effect.flatMap(answer),
      Effect.ensuring(Effect.sync(() => underWay--))
    )
    run(Effect.forkIn(fulfilled, scope))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      connection.subscribe(subject, {
        callback: (error, message) => {
          if (error === null) take(message)
        }
      })
    ),
    (subscription) => Effect.sync(() => subscription.unsubscribe())
  )
})

const fulfil = (desk: ParkedDesk, wish: Wish): Effect.Effect<Answer, DeskFailed> => {
  switch (wish._tag) {
    case "List":
      return Effect.map(desk.list(wish.limit), (events) => {
        let bytes = 0
        const fitting = events.filter((event) => (bytes += JSON.stringify(event).length) <= listBytesMax)
        return Answer.cases.Listed.make({ events: fitting })
      })
    case "Retry":
      return Effect.map(desk.retry(wish), (retried) => Answer.cases.Retried.make({ retried }))
    case "Drop":
      return Effect.map(desk.drop(wish, wish.seq), (retried) => Answer.cases.Retried.make({ retried }))
  }
}
