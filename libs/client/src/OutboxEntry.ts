/**
 * One mutation on its way to the server, and what an answer means for it. An entry keeps its client id over retries,
 * reconnects and reloads, so it has one effect (EXACTLY-ONCE-EFFECT); it gets a new one only where the server said
 * for certain that the old one was not, and will not be, executed.
 */
import type { ErrorCode } from "@parley/protocol/ApiError"
import { Limits } from "@parley/protocol/Limits"
import type { ErrorObject, OpFields } from "./PlainFrame.ts"

export type MutationName =
  | "send"
  | "edit"
  | "delete"
  | "mark_unread"
  | "create"
  | "update"
  | "join"
  | "leave"
  | "add_members"
  | "remove_members"

/** `seen` is no part of the mutation: it is what the device has shown when it is sent. */
export type MutationFields<Name extends MutationName> = Omit<OpFields<Name>, "cid" | "channel" | "seen">

/** What is sent and stored: the mutation without id, op and client id. */
export type Mutation = {
  [Name in MutationName]: { readonly op: Name; readonly fields: MutationFields<Name> }
}[MutationName]

/** What a mutation's promise resolves to. */
export interface Settled {
  readonly channel: string
  readonly seq: number
  readonly at: number
}

/** Why a mutation failed for good; `code` is of the protocol's table, or `outbox_full` or `discarded` by the client. */
export class MutationFailed extends Error {
  override readonly name = "MutationFailed"
  readonly code: ErrorCode | "outbox_full" | "discarded"

  constructor(code: ErrorCode | "outbox_full" | "discarded", message: string) {
    super(message)
    this.code = code
  }
}

export interface OutboxEntry {
  cid: string
  readonly channel: string
  readonly mutation: Mutation
  /** Local time, for display until the server's is known. */
  readonly at: number
  /** `failed`: only a message waits for a person's retry or discard. */
  state: "sending" | "failed"
  /** It was on the wire: until the server answers for certain it may be in. */
  tried: boolean
  error: { readonly code: ErrorCode; readonly message: string } | null
  /** The server has it; it stays here until its place in the channel is reached, so that it never leaves the screen. */
  acked: Settled | null
  /** Refusals so far that said "again". */
  attempts: number
  /** Of them, those with `internal`, which a client repeats once. */
  internals: number
}

export type AfterRefusal =
  | { readonly _tag: "Again"; readonly retryAfterMs: number | undefined }
  /** The server's clock is another: correct ours, take a new id. */
  | { readonly _tag: "NewId"; readonly serverTime: number | undefined }
  /** The connection's token is the matter, not the mutation: it goes again on the next connection. */
  | { readonly _tag: "Token" }
  | { readonly _tag: "Failed" }

/** How often an id may be ahead before something else is wrong. */
const newIdsMax = 3

export const afterRefusal = (entry: OutboxEntry, error: ErrorObject): AfterRefusal => {
  switch (error.code) {
    case "id_ahead":
      return entry.attempts < newIdsMax ? { _tag: "NewId", serverTime: error.server_time } : { _tag: "Failed" }
    case "unauthenticated":
    case "token_expired":
      return { _tag: "Token" }
    case "internal":
      return entry.internals < 1 ? { _tag: "Again", retryAfterMs: error.retry_after_ms } : { _tag: "Failed" }
    default:
      return error.retryable ? { _tag: "Again", retryAfterMs: error.retry_after_ms } : { _tag: "Failed" }
  }
}

/** After these the server holds nothing under the old id, or refuses it for ever: trying again needs a new one. */
export const needsNewId = (code: ErrorCode | undefined): boolean =>
  code === "id_expired" || code === "id_ahead" || code === "id_reused"

export const encodeEntries = (user: string | null, entries: ReadonlyArray<OutboxEntry>): string | undefined =>
  entries.length === 0
    ? undefined
    : JSON.stringify({
        version: 1,
        user,
        entries: entries.map(({ attempts: _attempts, internals: _internals, ...kept }) => kept)
      })

/** What an earlier run of this client stored; unreadable text counts as nothing. */
export const decodeEntries = (
  text: string | undefined
): { readonly user: string | null; readonly entries: ReadonlyArray<OutboxEntry> } => {
  try {
    // JSON.parse gives `any`; each entry is checked below for what this client relies on.
    const stored = JSON.parse(text ?? "null") as {
      version?: number
      user?: string
      entries?: Array<OutboxEntry>
    } | null
    if (stored?.version !== 1 || !Array.isArray(stored.entries)) return { user: null, entries: [] }
    const entries = stored.entries
      .filter((entry) => (entry.acked ?? null) === null)
      .filter(
        (entry) =>
          typeof entry.cid === "string" && typeof entry.channel === "string" && typeof entry.mutation?.op === "string"
      )
      .map((entry) => ({ ...entry, tried: true, attempts: 0, internals: 0, error: entry.error ?? null, acked: null }))
    return { user: stored.user ?? null, entries }
  } catch {
    return { user: null, entries: [] }
  }
}

/** What an entry counts against the outbox's bound, and about what its frame has. */
export const charsOf = (mutation: Mutation): number => JSON.stringify(mutation).length + frameOverhead

const frameOverhead = 256
const utf8Bytes = (text: string): number => new TextEncoder().encode(text).length

/** A frame beyond the server's limit would close the connection (4303), again after each reconnect: it is not sent. */
export const isTooLarge = (mutation: Mutation): boolean =>
  ("text" in mutation.fields && utf8Bytes(mutation.fields.text) > Limits.textBytesMax) ||
  utf8Bytes(JSON.stringify(mutation)) + frameOverhead > Limits.frameBytesMax
