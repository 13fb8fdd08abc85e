/**
 * Work that comes in herds, taken in turns: so much of it in one turn of the event loop, the rest in the next ones, in
 * order. Ten thousand clients that resume at once would otherwise be one turn of several seconds, in which no ack, no
 * heartbeat and no lease is seen. What waits is small (a frame's text), and it is done from end to end in one go, so
 * that what it makes on its way is young garbage.
 */

/**
 * Time for such work in one turn of the event loop: as much as all else took since the last one, within these bounds, so
 * that a busy loop does not leave it less and less. One job may take longer.
 */
export const turnMsMin = 10
const turnMsMax = 50
/** Less for those who are not in yet: a turn has all kinds in it. */
export const arrivalsMsMax = 20
/** Jobs that wait; more are refused. */
const waitingMax = 100_000

export class Turns {
  readonly #now: () => number
  readonly #turnMsMax: number
  #waiting: Array<() => void> = []
  #next = 0
  #usedMs = 0
  #turnMs = turnMsMin
  #endedAt = 0
  #scheduled = false

  constructor(now: () => number = () => performance.now(), msMax = turnMsMax) {
    this.#now = now
    this.#turnMsMax = msMax
  }

  get waiting(): number {
    return this.#waiting.length - this.#next
  }

  /** Whether a job would be done at once. */
  get free(): boolean {
    return this.waiting === 0 && (!this.#scheduled || this.#usedMs < this.#turnMs)
  }

  /** Now, where this turn has time left and nobody waits; later otherwise. False: too many wait, it is not done. */
  run(job: () => void): boolean {
    if (this.waiting >= waitingMax) return false
    if (!this.#scheduled) {
      this.#scheduled = true
      this.#turnMs = turnMsMin
      this.#endedAt = this.#now()
      setImmediate(this.#turn)
    }
    if (this.free) this.#do(job)
    else this.#waiting.push(job)
    return true
  }

  #do(job: () => void): void {
    const from = this.#now()
    job()
    this.#usedMs += this.#now() - from
  }

  readonly #turn = (): void => {
    this.#turnMs = Math.min(this.#turnMsMax, Math.max(turnMsMin, this.#now() - this.#endedAt))
    this.#usedMs = 0
    while (this.#usedMs < this.#turnMs) {
      const job = this.#waiting[this.#next]
      if (job === undefined) break
      this.#next++
      this.#do(job)
    }
    if (this.#next > 1_024 && this.#next * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    this.#endedAt = this.#now()
    this.#scheduled = this.waiting > 0
    if (this.#scheduled) setImmediate(this.#turn)
    else if (this.#next > 0) {
      this.#waiting = []
      this.#next = 0
    }
  }
}
