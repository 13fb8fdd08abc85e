/** The bytes of attaches, their answers, and detaches. What can't be read makes the reader fail, never a throw. */
import type { Attach, Attached, Detach } from "../../owner/OwnerProtocol.ts"
import type { ByteReader } from "./ByteReader.ts"
import type { ByteWriter } from "./ByteWriter.ts"

export const writeAttach = (to: ByteWriter, { edge, shard, topics }: Attach): void => {
  to.number(shard)
  to.text(edge)
  to.number(topics.length)
  for (const { topic, users } of topics) {
    to.text(topic)
    to.texts(users)
  }
}

export const readAttach = (from: ByteReader): Attach => {
  const shard = from.number()
  const edge = from.text()
  const topics = from.list(() => {
    const topic = from.text()
    return { topic, users: from.texts() }
  })
  return { shard, edge, topics }
}

export const writeAttached = (to: ByteWriter, { epoch, interestVersion, shard, topics }: Attached): void => {
  to.number(shard)
  to.number(epoch)
  to.number(interestVersion)
  to.number(topics.length)
  for (const { denied, generation, head, topic } of topics) {
    to.text(topic)
    to.number(head)
    to.number(generation)
    to.texts(denied)
  }
}

export const readAttached = (from: ByteReader): Attached => {
  const shard = from.number()
  const epoch = from.number()
  const interestVersion = from.number()
  const topics = from.list(() => {
    const topic = from.text()
    const head = from.number()
    const generation = from.number()
    return { topic, head, generation, denied: from.texts() }
  })
  return { shard, epoch, interestVersion, topics }
}

export const writeDetach = (to: ByteWriter, { edge, shard, topics }: Detach): void => {
  to.number(shard)
  to.text(edge)
  to.texts(topics)
}

export const readDetach = (from: ByteReader): Detach => {
  const shard = from.number()
  const edge = from.text()
  return { shard, edge, topics: from.texts() }
}
