/**
 * Checks that one connection gets a channel's events in order, once, and without a hole. Its own sends don't come back
 * as events: their acks fill those places. A delivery that is out of order ends the bench, for its figure would be of
 * something else.
 */
const heldMax = 65_536

export class Order {
  readonly #what: string
  /** In a cluster an ack and a delivery come by different ways: what came before an own ack waits for it. */
  readonly #acksLate: boolean
  #held: Array<{ readonly from: number; readonly to: number }> = []
  /** The last seq that was covered. */
  #at: number
  /** Own sends that were acknowledged and whose place has not come yet, ascending. */
  #own: Array<number> = []
  delivered = 0

  constructor(what: string, at: number, acksLate = false) {
    this.#what = what
    this.#at = at
    this.#acksLate = acksLate
  }

  get at(): number {
    return this.#at
  }

  ack(seq: number): void {
    if (seq === this.#at + 1) {
      this.#at = seq
      this.#takeOwn()
    } else this.#own.push(seq)
    if (this.#held.length > 0) this.#takeHeld()
  }

  /** An event, or what covers `(from, to]`. */
  event(from: number, to: number): void {
    if (from > this.#at && this.#acksLate && this.#held.length < heldMax) {
      this.#held.push({ from, to })
      return
    }
    if (from !== this.#at) throw new Error(`${this.#what} is at ${this.#at} and got (${from}, ${to}]`)
    this.#at = to
    this.delivered++
    if (this.#own.length > 0) this.#takeOwn()
  }

  #takeHeld(): void {
    for (let next = this.#held[0]; next !== undefined && next.from === this.#at; next = this.#held[0]) {
      this.#held.shift()
      this.event(next.from, next.to)
    }
  }

  #takeOwn(): void {
    while (this.#own[0] === this.#at + 1) {
      this.#at++
      this.#own.shift()
    }
  }

  /** Everything up to `head` has come. */
  isAt(head: number): boolean {
    return this.#at === head && this.#own.length === 0 && this.#held.length === 0
  }
}

const fromField = '"from":'
const toField = ',"to":'

/** Channel and range of an `event` or `covered` push; undefined for other pushes. */
export const rangeOf = (
  frame: string
): { readonly channel: string; readonly from: number; readonly to: number } | undefined => {
  if (!frame.startsWith('{"ev":"event"') && !frame.startsWith('{"ev":"covered"')) return undefined
  const start = frame.indexOf('"channel":"') + 11
  const end = frame.indexOf('"', start)
  const from = frame.indexOf(fromField, end) + fromField.length
  const to = frame.indexOf(toField, from) + toField.length
  return {
    channel: frame.slice(start, end),
    from: parseInt(frame.slice(from, from + 16), 10),
    to: parseInt(frame.slice(to, to + 16), 10)
  }
}

/** The seq of an ack of a send; it ends the bench where that is an error. */
export const ackedSeq = (frame: string): number => {
  const at = frame.indexOf('"ok":{"channel":"')
  const seq = at < 0 ? -1 : frame.indexOf(',"seq":', at)
  if (seq < 0) throw new Error(`a send was answered ${frame}`)
  return parseInt(frame.slice(seq + 7, seq + 23), 10)
}

const zero = 48
const nine = 57

/** The decimal number that begins at `at`. */
export const numberAt = (data: Buffer, at: number): number => {
  let value = 0
  for (let digit = data[at] ?? 0; digit >= zero && digit <= nine; digit = data[++at] ?? 0)
    value = value * 10 + digit - zero
  return value
}
