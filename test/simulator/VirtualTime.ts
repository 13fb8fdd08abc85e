/**
 * A virtual event loop for one process: timers, immediates and both clocks go by it, so that a run of simulated machines
 * takes no real time and is the same each time. Every task belongs to a simulated process, and whatever is begun while it
 * runs (promises included, which are drained before the next task) belongs to that one too: so a process can be killed
 * (its tasks are forgotten), paused (they wait) and given wrong clocks, whatever code runs in it.
 *
 * `install` must come before the code under test is loaded. Nothing real is waited for while the loop runs.
 */
import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import timersPromises from "node:timers/promises"
import { Random } from "../harness/Random.ts"

/** Real ones, for whoever drives runs. */
export const real = { setImmediate, setTimeout, now: performance.now.bind(performance), console: globalThis.console }

/** What a timer's caller gets; the loop ends when it is told to, so references don't matter. */
class Timer {
  cancelled = false
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
  hasRef(): boolean {
    return true
  }
  [Symbol.dispose](): void {
    this.cancelled = true
  }
}

/** One simulated process, on its host. */
export class SimProcess {
  readonly host: string
  readonly name: string
  readonly number: number
  alive = true
  pausedUntil = 0
  /** Of its clocks against the world's, in ms. */
  monotonicOffset = 0
  wallOffset = 0

  constructor(host: string, name: string, number: number) {
    this.host = host
    this.name = name
    this.number = number
  }
}

interface Task {
  readonly due: number
  readonly order: number
  readonly process: SimProcess
  readonly timer: Timer
  readonly run: () => void
}

/** Tasks of one run: far beyond any that ends. */
const tasksMax = 3_000_000
/** Tasks between two turns of the real event loop. */
const tasksAtOnce = 5_000
/** What a look at the monotonic clock takes. */
const lookMs = 0.000_1
/** The shortest timer, as in Node. */
const timerMsMin = 1

export class VirtualTime {
  /** Milliseconds since the run began. */
  now = 0
  tasks = 0
  /** Of all tasks so far: when, and whose. Two runs of the same seed have the same. */
  hash = 0x811c9dc5
  current: SimProcess
  /** An error that nobody caught, or a rejection. */
  onUncaught: (error: unknown, process: SimProcess) => void = () => {}
  /** The wall clock at the beginning. */
  readonly #beganAt: number
  readonly #random: Random
  #heap: Array<Task> = []
  #order = 0
  #processes = 0

  constructor(seed: number, beganAt: number) {
    this.#random = new Random(seed ^ 0x5bd1e995)
    this.#beganAt = beganAt
    this.current = this.process("world", "world")
  }

  process(host: string, name: string): SimProcess {
    return new SimProcess(host, name, ++this.#processes)
  }

  random(): number {
    return this.#random.next()
  }
  /** Moves on with every look, as a real one does: some loops wait for that. */
  monotonic(): number {
    this.now += lookMs
    return this.now + this.current.monotonicOffset + 1_000
  }
  wall(): number {
    return Math.floor(this.#beganAt + this.now + this.current.wallOffset)
  }

  /** Runs in `process` after `ms`. */
  after(ms: number, process: SimProcess, run: () => void, timer = new Timer()): Timer {
    this.#push({ due: this.now + Math.max(0, ms), order: ++this.#order, process, timer, run })
    return timer
  }

  every(ms: number, run: () => void): Timer {
    const timer = new Timer()
    const { current } = this
    const again = () => {
      run()
      if (!timer.cancelled) this.after(ms, current, again, timer)
    }
    return this.after(ms, current, again, timer)
  }

  /** Executes tasks until `done` says so. */
  run(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        if (done()) return resolve()
        const task = this.#next()
        if (task === undefined) return reject(new Error("the simulated world has nothing left to do"))
        if (this.tasks > tasksMax) return reject(new Error(`more than ${tasksMax} tasks`))
        this.current = task.process
        try {
          task.run()
        } catch (error) {
          this.onUncaught(error, task.process)
        }
        if (this.tasks % tasksAtOnce === 0) real.setImmediate(step)
        // After all microtasks, and all that those begin.
        else queueMicrotask(() => process.nextTick(step))
      }
      step()
    })
  }

  #next(): Task | undefined {
    for (;;) {
      const task = this.#pop()
      if (task === undefined) return undefined
      if (task.timer.cancelled || !task.process.alive) continue
      if (task.process.pausedUntil > task.due && task.process.pausedUntil > this.now) {
        this.#push({ ...task, due: task.process.pausedUntil, order: ++this.#order })
        continue
      }
      this.now = Math.max(this.now, task.due)
      this.tasks++
      this.hash = Math.imul(this.hash ^ Math.floor(this.now * 1_000), 0x01000193) >>> 0
      this.hash = Math.imul(this.hash ^ task.process.number, 0x01000193) >>> 0
      return task
    }
  }

  #push(task: Task): void {
    const heap = this.#heap
    let at = heap.push(task) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || !before(task, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = task
  }

  #pop(): Task | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      const left = heap[at * 2 + 1]
      const right = heap[at * 2 + 2]
      if (left === undefined) break
      const takeRight = right !== undefined && before(right, left)
      const child = takeRight ? right : left
      if (!before(child, last)) break
      heap[at] = child
      at = at * 2 + (takeRight ? 2 : 1)
    }
    heap[at] = last
    return top
  }
}

const before = (a: Task, b: Task): boolean => (a.due !== b.due ? a.due < b.due : a.order < b.order)

let active: VirtualTime | undefined

/** The world that the globals go by. */
export const setActive = (time: VirtualTime): void => {
  active = time
}
export const virtualTime = (): VirtualTime => {
  if (active === undefined) throw new Error("no simulated world has begun")
  return active
}

const bytesOf = (size: number): Buffer => {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at++) bytes[at] = Math.floor(virtualTime().random() * 256)
  return bytes
}

/** Puts the virtual loop in place of Node's timers, clocks and sources of chance. */
export const install = (): void => {
  // Modules look at the clock while they are loaded.
  active ??= new VirtualTime(0, 0)
  type Run = (...given: ReadonlyArray<unknown>) => void
  const after = (run: Run, ms = 0, ...given: ReadonlyArray<unknown>) => {
    const time = virtualTime()
    return time.after(Math.max(timerMsMin, ms), time.current, () => run(...given))
  }
  const cancel = (timer: Timer | undefined) => {
    if (timer !== undefined && timer !== null) timer.cancelled = true
  }
  const RealDate = Date
  class VirtualDate extends RealDate {
    // oxlint-disable-next-line typescript/no-explicit-any -- any: the constructor of Date takes many shapes
    constructor(...given: ReadonlyArray<any>) {
      // as: a list of what Date takes, or nothing
      super(...((given.length === 0 ? [virtualTime().wall()] : given) as [number]))
    }
    static override now(): number {
      return virtualTime().wall()
    }
  }
  Object.assign(globalThis, {
    setTimeout: after,
    clearTimeout: cancel,
    setInterval: (run: Run, ms = 0, ...given: ReadonlyArray<unknown>) =>
      virtualTime().every(Math.max(timerMsMin, ms), () => run(...given)),
    clearInterval: cancel,
    setImmediate: (run: Run, ...given: ReadonlyArray<unknown>) => {
      const time = virtualTime()
      return time.after(0, time.current, () => run(...given))
    },
    clearImmediate: cancel,
    Date: VirtualDate
  })
  performance.now = () => virtualTime().monotonic()
  Math.random = () => virtualTime().random()
  AbortSignal.timeout = () => new AbortController().signal
  Object.assign(crypto, { randomBytes: bytesOf, randomUUID: () => bytesOf(16).toString("hex") })
  Object.assign(timersPromises, {
    setTimeout: (ms: number, value: unknown) => new Promise((resolve) => after(() => resolve(value), ms))
  })
  syncBuiltinESMExports()
}
