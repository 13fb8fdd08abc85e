/**
 * Ops that change a channel: send, edit, delete, and those of channels and members. Each is one request to the
 * channel's owner, answered when its event is committed (DURABLE-BEFORE-ACK); the owner decides what is allowed.
 * Plain TypeScript on the hot path: bench `send`.
 */
import type { ChannelAck, ChannelMutation } from "@parley/actors/owner/OwnerProtocol"
import { errorTable } from "@parley/protocol/ApiError"
import type { Op } from "@parley/protocol/Frame"
import type { Connection } from "../Connection.ts"
import { OwnEvents } from "../OwnEvents.ts"
import { answerFailure, answerOk, callerOf, type EdgeRuntime } from "../EdgeRuntime.ts"
import { ask } from "../OwnerAnswers.ts"
import { reportSeen } from "./Reading.ts"

const nobody: ReadonlyArray<string> = []

type MutationOp = Op<
  "send" | "edit" | "delete" | "create" | "update" | "join" | "leave" | "add_members" | "remove_members"
>

export const mutate = (edge: EdgeRuntime, connection: Connection, frame: MutationOp): void => {
  const { channel, cid, id } = frame
  const own = (connection.own ??= new OwnEvents())
  own.asked()
  ask(
    edge.calls,
    edge.calls.shardOf(channel),
    {
      _tag: "Mutate",
      caller: callerOf(edge, connection),
      mutation: mutationOf(frame),
      admin: false
    },
    (reply) => {
      if (!("ok" in reply)) {
        answerFailure(edge, connection, id, reply.failure)
        own.failed(cid, errorTable[reply.failure.code].retryable)
      } else {
        answerOk(edge, connection, id, ackOf(frame, reply.ok))
        own.acked(channel, cid, reply.ok.seq)
      }
      if (own.idle) connection.own = null
      if (!("ok" in reply)) return
      // A send says what its device has seen; the cursor moves there, not to the send (†13).
      if (frame.op === "send" && frame.seen !== undefined) reportSeen(edge, connection, channel, frame.seen)
    }
  )
}

/** A channel id is ASCII without anything to escape. */
const ackOf = (frame: MutationOp, ack: ChannelAck): string => {
  const start = `{"channel":"${frame.channel}","seq":${ack.seq},"at":${ack.at}`
  return frame.op === "send"
    ? `${start},"n":${ack.n}}`
    : frame.op === "create"
      ? `${start},"generation":${ack.generation}}`
      : `${start}}`
}

const mutationOf = (frame: MutationOp): ChannelMutation => {
  const { channel, cid } = frame
  switch (frame.op) {
    case "send":
      return { op: "send", channel, cid, text: frame.text, mentions: frame.mentions ?? nobody }
    case "edit":
      return { op: "edit", channel, cid, target: frame.target, text: frame.text, mentions: frame.mentions ?? nobody }
    case "delete":
      return { op: "delete", channel, cid, target: frame.target }
    case "create":
      return { op: "create", channel, cid, name: frame.name, topic: frame.topic ?? "", members: frame.members }
    case "update":
      return {
        op: "update",
        channel,
        cid,
        ...(frame.name === undefined ? {} : { name: frame.name }),
        ...(frame.topic === undefined ? {} : { topic: frame.topic })
      }
    case "join":
    case "leave":
      return { op: frame.op, channel, cid }
    case "add_members":
    case "remove_members":
      return { op: frame.op, channel, cid, members: frame.members }
  }
}
