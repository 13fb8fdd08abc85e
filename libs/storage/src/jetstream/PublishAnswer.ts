/**
 * What a stream's answer to an append means (DESIGN §5.4). Only two things are certain: "stored", and a refusal that
 * the leader gives before it proposes anything to its replicas. Whatever is not in the table is ambiguous: the same
 * record is tried again, which its message id and expected sequence make harmless.
 */
import type { AppendOutcome, LogPosition } from "../EventLog.ts"

/** What an error code of the server means for the record. */
type Meaning =
  /** The message names the sequence that the subject ends with. */
  | "wrong_sequence"
  | "full"
  | "too_large"
  /** `full` only with the text of a stream at its bound: the code also covers failures after the replicas agreed. */
  | "full_if_at_bound"
  | "ambiguous"

/** By the server's `err_code`. Those named `ambiguous` are here to say that they were thought about. */
export const publishErrors: ReadonlyMap<number, Meaning> = new Map<number, Meaning>([
  [10_071, "wrong_sequence"],
  // Another append of the subject is on its way: perhaps an earlier attempt of this very record.
  [10_164, "ambiguous"],
  // The message id is on its way: an earlier attempt of this record, not agreed on yet.
  [10_158, "ambiguous"],
  // Store failed: "maximum bytes exceeded" is said before proposing.
  [10_077, "full_if_at_bound"],
  // Resource limits of the account; insufficient resources of the server, of its storage, of its memory.
  [10_002, "full"],
  [10_023, "full"],
  [10_047, "full"],
  [10_028, "full"],
  [10_054, "too_large"],
  // Headers too large: ours are not, so whatever this is will not go away by repeating it.
  [10_097, "too_large"],
  // Too many requests wait for this stream: not looked at, and room again in a moment.
  [10_167, "ambiguous"],
  // No meta leader; not the stream's leader.
  [10_008, "ambiguous"],
  [10_009, "ambiguous"],
  // JetStream is being switched off or on.
  [10_076, "ambiguous"],
  [10_039, "ambiguous"]
])

const atBound = /^maximum bytes exceeded$/
const wrongSequence = /^wrong last sequence: (\d+)$/

export const ambiguous = (cause: string): AppendOutcome => ({ _tag: "Ambiguous", cause })

/** `status` is that of the answer's header (503: nobody listens on the subject), 0 without one. */
export const outcomeOf = (status: number, body: string): AppendOutcome => {
  if (status === 503) return ambiguous("no stream takes the subject now: its leader is away or not elected")
  const answer = parse(body)
  if (answer === undefined) return ambiguous(`an answer that makes no sense${status === 0 ? "" : ` (${status})`}`)
  if (answer.error !== undefined) return refusalOf(answer.error)
  const { seq } = answer
  // A duplicate's sequence is that of the first try: the server knows it only once that is stored.
  if (typeof seq === "number" && Number.isSafeInteger(seq) && seq > 0) return { _tag: "Committed", position: seq }
  return ambiguous("an answer without a sequence")
}

/** What became of a batch. */
export type BatchOutcome =
  /** All are stored, the first of them here. */
  | { readonly _tag: "Committed"; readonly first: LogPosition }
  /** None is, for a reason that is one message's or the batch's own: each may be tried alone. `never`: no batch will go. */
  | { readonly _tag: "Apart"; readonly never: boolean }
  | { readonly _tag: "Ambiguous"; readonly cause: string }

/** The stream takes no batches. */
const batchesOff = 10_174
/** The server does not know the header of a batch, or one of ours in a batch. */
const batchUnsupported = 10_177
/**
 * Refusals before anything is proposed: of a batch as such (off, not whole, too large, an id that was seen, too many), and for
 * another append of one of its subjects that is on its way: that one's outcome is not known, and none of the batch's is in.
 */
const batchRefusals: ReadonlySet<number> = new Set([
  10_158,
  10_164,
  batchesOff,
  10_175,
  10_176,
  batchUnsupported,
  10_179,
  10_199,
  10_200,
  10_201,
  10_210
])

/** As `outcomeOf`: what an answer says of so many messages that went together. */
export const batchOutcomeOf = (status: number, body: string, count: number): BatchOutcome => {
  const answer = status === 503 ? undefined : parse(body)
  const code = Number(answer?.error?.err_code)
  if (batchRefusals.has(code)) return { _tag: "Apart", never: code === batchesOff || code === batchUnsupported }
  const outcome = outcomeOf(status, body)
  switch (outcome._tag) {
    case "Committed": {
      const first = outcome.position - count + 1
      return answer?.count === count && first > 0
        ? { _tag: "Committed", first }
        : { _tag: "Ambiguous", cause: `an answer to a batch of ${count} that is to none` }
    }
    case "WrongSequence":
    case "Refused":
      return { _tag: "Apart", never: false }
    case "Ambiguous":
      return outcome
  }
}

interface ServerError {
  readonly err_code?: unknown
  readonly description?: unknown
}

interface Answer {
  readonly seq?: unknown
  readonly count?: unknown
  readonly error?: ServerError
}

const parse = (body: string): Answer | undefined => {
  try {
    const answer: unknown = JSON.parse(body)
    return typeof answer === "object" && answer !== null ? answer : undefined
  } catch {
    return undefined
  }
}

const refusalOf = (error: ServerError): AppendOutcome => {
  const code = Number(error.err_code)
  const text = String(error.description)
  switch (publishErrors.get(code)) {
    case "wrong_sequence": {
      const actual = wrongSequence.exec(text)?.[1]
      return actual === undefined ? ambiguous(said(code, text)) : { _tag: "WrongSequence", actual: Number(actual) }
    }
    case "full":
      return { _tag: "Refused", reason: "full" }
    case "full_if_at_bound":
      return atBound.test(text) ? { _tag: "Refused", reason: "full" } : ambiguous(said(code, text))
    case "too_large":
      return { _tag: "Refused", reason: "too_large" }
    default:
      return ambiguous(said(code, text))
  }
}

const said = (code: number, text: string): string => `the server said ${code} (${text})`
