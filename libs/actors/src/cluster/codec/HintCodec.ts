/** The bytes of hints between processes; one that can't be read is left out, for losing a hint costs a poll interval. */
import type { LogPosition } from "@parley/storage/EventLog"
import type { ParkedEntity } from "@parley/storage/ParkedEvents"
import type { Released } from "../../fanout/Parking.ts"
import type { ByteReader } from "./ByteReader.ts"
import type { ByteWriter } from "./ByteWriter.ts"
import { numbersOf } from "./RequestCodec.ts"

export type Hint =
  | { readonly _tag: "Committed"; readonly shards: ReadonlyArray<number> }
  | {
      readonly _tag: "Stored"
      readonly shard: number
      readonly position: LogPosition
      readonly parked: ReadonlyArray<ParkedEntity>
    }
  | { readonly _tag: "Released"; readonly entity: Released }
  | { readonly _tag: "Damaged"; readonly shard: number; readonly what: string }

const hints = ["Committed", "Stored", "Released", "Damaged"] as const satisfies ReadonlyArray<Hint["_tag"]>
const hintNumbers = numbersOf(hints)
const topics = ["channel", "user"] as const satisfies ReadonlyArray<Released["topic"]>
const topicNumbers = numbersOf(topics)

export const writeHint = (to: ByteWriter, hint: Hint): void => {
  const part = to.begin()
  to.byte(hintNumbers[hint._tag])
  switch (hint._tag) {
    case "Committed":
      to.number(hint.shards.length)
      for (const shard of hint.shards) to.number(shard)
      break
    case "Stored":
      to.number(hint.shard)
      to.number(hint.position)
      to.number(hint.parked.length)
      for (const { count, id, topic } of hint.parked) {
        to.byte(topicNumbers[topic])
        to.text(id)
        to.number(count)
      }
      break
    case "Released":
      to.number(hint.entity.shard)
      to.byte(topicNumbers[hint.entity.topic])
      to.text(hint.entity.id)
      to.number(hint.entity.seq)
      break
    case "Damaged":
      to.number(hint.shard)
      to.text(hint.what)
  }
  to.end(part)
}

export const readHint = (from: ByteReader): Hint | undefined => {
  const hint = hintOf(from)
  return from.failed ? undefined : hint
}

const hintOf = (from: ByteReader): Hint | undefined => {
  const _tag = hints[from.byte()]
  if (_tag === undefined) return from.fail()
  switch (_tag) {
    case "Committed":
      return { _tag, shards: from.list(() => from.number()) }
    case "Stored": {
      const shard = from.number()
      const position = from.number()
      const parked = from.list((): ParkedEntity | undefined => {
        const topic = topics[from.byte()]
        const id = from.text()
        const count = from.number()
        return topic === undefined ? undefined : { shard, topic, id, count }
      })
      return { _tag, shard, position, parked }
    }
    case "Released": {
      const shard = from.number()
      const topic = topics[from.byte()]
      const id = from.text()
      const seq = from.number()
      return topic === undefined ? from.fail() : { _tag, entity: { shard, topic, id, seq } }
    }
    case "Damaged": {
      const shard = from.number()
      return { _tag, shard, what: from.text() }
    }
  }
}
