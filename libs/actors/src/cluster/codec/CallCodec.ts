/**
 * The parts of messages between who asks and who owns. Asked: a request or attach with the caller's number for it, the
 * shard and the epoch that the caller believes in (†17); whether a runner serves a shard; what needs no answer. Answered:
 * by that number. Parts that can't be read are left out; the caller's own deadline deals with them.
 */
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { Attach, Attached, Detach, OwnerRequest } from "../../owner/OwnerProtocol.ts"
import type { ByteReader } from "./ByteReader.ts"
import type { ByteWriter } from "./ByteWriter.ts"
import { readAttach, readAttached, readDetach, writeAttach, writeAttached, writeDetach } from "./InterestCodec.ts"
import { readFailure, writeFailure } from "./ReplyCodec.ts"
import { readRequest, writeRequest } from "./RequestCodec.ts"

const askKinds = { request: 1, attach: 2, who: 3, detach: 4, resend: 5 } as const
const answerKinds = { ok: 1, failure: 2, attached: 3, notMine: 4, serves: 5 } as const

export type Asked =
  | {
      readonly _tag: "Request"
      readonly id: number
      readonly shard: number
      readonly epoch: number
      readonly request: OwnerRequest
    }
  | { readonly _tag: "Attach"; readonly id: number; readonly epoch: number; readonly attach: Attach }
  | { readonly _tag: "Who"; readonly shard: number }
  | { readonly _tag: "Detach"; readonly detach: Detach }
  | { readonly _tag: "Resend"; readonly start: number; readonly edge: string; readonly from: number }

export const writeAskedRequest = (
  to: ByteWriter,
  id: number,
  shard: number,
  epoch: number,
  request: OwnerRequest
): void => {
  const part = to.begin()
  to.byte(askKinds.request)
  to.number(id)
  to.number(shard)
  to.number(epoch)
  writeRequest(to, request)
  to.end(part)
}

export const writeAskedAttach = (to: ByteWriter, id: number, epoch: number, attach: Attach): void => {
  const part = to.begin()
  to.byte(askKinds.attach)
  to.number(id)
  to.number(epoch)
  writeAttach(to, attach)
  to.end(part)
}

export const writeWho = (to: ByteWriter, shard: number): void => {
  const part = to.begin()
  to.byte(askKinds.who)
  to.number(shard)
  to.end(part)
}

export const writeAskedDetach = (to: ByteWriter, detach: Detach): void => {
  const part = to.begin()
  to.byte(askKinds.detach)
  writeDetach(to, detach)
  to.end(part)
}

export const writeResend = (to: ByteWriter, start: number, edge: string, from: number): void => {
  const part = to.begin()
  to.byte(askKinds.resend)
  to.number(start)
  to.text(edge)
  to.number(from)
  to.end(part)
}

export const readAsked = (from: ByteReader): Asked | undefined => {
  switch (from.byte()) {
    case askKinds.request: {
      const id = from.number()
      const shard = from.number()
      const epoch = from.number()
      const request = readRequest(from)
      return request === undefined || from.failed ? undefined : { _tag: "Request", id, shard, epoch, request }
    }
    case askKinds.attach: {
      const id = from.number()
      const epoch = from.number()
      const attach = readAttach(from)
      return from.failed ? undefined : { _tag: "Attach", id, epoch, attach }
    }
    case askKinds.who: {
      const shard = from.number()
      return from.failed ? undefined : { _tag: "Who", shard }
    }
    case askKinds.detach: {
      const detach = readDetach(from)
      return from.failed ? undefined : { _tag: "Detach", detach }
    }
    case askKinds.resend: {
      const start = from.number()
      const edge = from.text()
      const number = from.number()
      return from.failed ? undefined : { _tag: "Resend", start, edge, from: number }
    }
    default:
      return from.fail()
  }
}

/** `Ok` is read on by the caller, who knows what he asked. */
export type Answered =
  | { readonly _tag: "Ok"; readonly id: number }
  | { readonly _tag: "Failure"; readonly id: number; readonly failure: ApiFailure }
  | { readonly _tag: "Attached"; readonly id: number; readonly attached: Attached }
  /** The epoch that was named, and the one under which the runner serves the shard itself; 0: it does not. */
  | { readonly _tag: "NotMine"; readonly id: number; readonly asked: number; readonly epoch: number }
  | { readonly _tag: "Serves"; readonly shard: number; readonly serves: boolean; readonly epoch: number }

/** Begins an answer whose `ok` is written by the caller, who ends the part. */
export const beginOk = (to: ByteWriter, id: number): number => {
  const part = to.begin()
  to.byte(answerKinds.ok)
  to.number(id)
  return part
}

export const writeAnsweredFailure = (to: ByteWriter, id: number, failure: ApiFailure): void => {
  const part = to.begin()
  to.byte(answerKinds.failure)
  to.number(id)
  writeFailure(to, failure)
  to.end(part)
}

export const writeAnsweredAttach = (to: ByteWriter, id: number, attached: Attached): void => {
  const part = to.begin()
  to.byte(answerKinds.attached)
  to.number(id)
  writeAttached(to, attached)
  to.end(part)
}

export const writeNotMine = (to: ByteWriter, id: number, asked: number, epoch: number): void => {
  const part = to.begin()
  to.byte(answerKinds.notMine)
  to.number(id)
  to.number(asked)
  to.number(epoch)
  to.end(part)
}

export const writeServes = (to: ByteWriter, shard: number, serves: boolean, epoch: number): void => {
  const part = to.begin()
  to.byte(answerKinds.serves)
  to.number(shard)
  to.bool(serves)
  to.number(epoch)
  to.end(part)
}

export const readAnswered = (from: ByteReader): Answered | undefined => {
  const kind = from.byte()
  const id = from.number()
  switch (kind) {
    case answerKinds.ok:
      return { _tag: "Ok", id }
    case answerKinds.failure:
      return { _tag: "Failure", id, failure: readFailure(from) }
    case answerKinds.attached:
      return { _tag: "Attached", id, attached: readAttached(from) }
    case answerKinds.notMine: {
      const asked = from.number()
      return { _tag: "NotMine", id, asked, epoch: from.number() }
    }
    case answerKinds.serves: {
      const serves = from.bool()
      return { _tag: "Serves", shard: id, serves, epoch: from.number() }
    }
    default:
      return from.fail()
  }
}
