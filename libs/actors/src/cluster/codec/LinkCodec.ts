/**
 * The bytes of a link message. Bodies and frames are wire text and go through as they are: nothing is parsed or encoded
 * again between the owner and the socket. What can't be read is undefined, never a throw. Bench `remotecalls`.
 */
import type { LinkItem, LinkMessage } from "../../owner/OwnerProtocol.ts"
import type { ByteReader } from "./ByteReader.ts"
import type { ByteWriter } from "./ByteWriter.ts"
import { readPresenceChanges, writePresenceChanges } from "./ReplyCodec.ts"
import { numbersOf } from "./RequestCodec.ts"
import { wireRelease } from "./WireRelease.ts"

const items = ["Event", "Covered", "Ephemeral", "Presence", "Personal"] as const satisfies ReadonlyArray<
  LinkItem["_tag"]
>
const itemNumbers = numbersOf(items)

export const writeLinkMessage = (to: ByteWriter, message: LinkMessage): void => {
  to.text(message.owner)
  to.number(message.start)
  to.text(message.edge)
  to.number(message.number)
  to.number(message.items.length)
  for (const item of message.items) writeItem(to, item)
  to.bool(message.digest !== null)
  if (message.digest !== null) writeDigest(to, message.digest)
  to.raw(wireRelease().more)
}

const writeDigest = (to: ByteWriter, digest: NonNullable<LinkMessage["digest"]>): void => {
  to.number(digest.length)
  for (const { epoch, interestVersion, shard } of digest) {
    to.number(shard)
    to.number(epoch)
    to.number(interestVersion)
  }
}

export const readLinkMessage = (from: ByteReader): LinkMessage | undefined => {
  const owner = from.text()
  const start = from.number()
  const edge = from.text()
  const number = from.number()
  const items = from.list(() => readItem(from))
  const digest = from.bool()
    ? from.list(() => {
        const shard = from.number()
        const epoch = from.number()
        return { shard, epoch, interestVersion: from.number() }
      })
    : null
  return from.failed ? undefined : { owner, start, edge, number, items, digest }
}

const writeItem = (to: ByteWriter, item: LinkItem): void => {
  to.byte(itemNumbers[item._tag])
  to.text(item.topic)
  switch (item._tag) {
    case "Event":
      to.number(item.from)
      to.number(item.to)
      to.text(item.body)
      to.text(item.kind)
      to.text(item.originEdge)
      to.number(item.originConnection)
      to.texts(item.members)
      return to.bool(item.readFanout)
    case "Covered":
      to.number(item.from)
      return to.number(item.to)
    case "Ephemeral":
      to.text(item.frame)
      to.text(item.exceptUser)
      return to.number(item.exceptConnection)
    case "Presence":
      to.number(item.shard)
      to.number(item.epoch)
      to.number(item.n)
      return writePresenceChanges(to, item.users)
    case "Personal":
      to.number(item.seq)
      to.text(item.kind)
      to.text(item.frame)
      to.text(item.channel)
      to.number(item.channelSeq)
      to.number(item.exceptConnection)
      return to.number(item.revokedBefore)
  }
}

const readItem = (reader: ByteReader): LinkItem | undefined => {
  const _tag = items[reader.byte()]
  const topic = reader.text()
  if (_tag === undefined) return undefined
  switch (_tag) {
    case "Event": {
      const from = reader.number()
      const to = reader.number()
      const body = reader.text()
      const kind = reader.text()
      const originEdge = reader.text()
      const originConnection = reader.number()
      const members = reader.texts()
      const readFanout = reader.bool()
      return { _tag, topic, from, to, body, kind, originEdge, originConnection, members, readFanout }
    }
    case "Covered": {
      const from = reader.number()
      return { _tag, topic, from, to: reader.number() }
    }
    case "Ephemeral": {
      const frame = reader.text()
      const exceptUser = reader.text()
      return { _tag, topic, frame, exceptUser, exceptConnection: reader.number() }
    }
    case "Presence": {
      const shard = reader.number()
      const epoch = reader.number()
      const n = reader.number()
      return { _tag, topic, shard, epoch, n, users: readPresenceChanges(reader) }
    }
    case "Personal": {
      const seq = reader.number()
      const kind = reader.text()
      const frame = reader.text()
      const channel = reader.text()
      const channelSeq = reader.number()
      const exceptConnection = reader.number()
      const revokedBefore = reader.number()
      return { _tag, topic, seq, kind, frame, channel, channelSeq, exceptConnection, revokedBefore }
    }
  }
}
