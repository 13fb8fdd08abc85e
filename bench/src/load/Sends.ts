/**
 * A load of sends: so many in flight all the time (`closed`), or so many a second whatever the answers do (`paced`).
 * What counts is the window between a warm-up and the end; the latencies are those of sends that were acknowledged in it.
 */
import { pause, until } from "../Report.ts"
import { type CpuSource, watchCpu } from "../Servers.ts"

/** Sends one message and calls back once it is acknowledged. */
export type SendOne = (turn: number, acked: () => void) => void

export type Load =
  | { readonly _tag: "closed"; readonly inFlight: number }
  | { readonly _tag: "paced"; readonly perSecond: number }

/** A paced load that the server can't follow is not piled up without a bound: what is beyond is sent late. */
const openMax = 20_000
const settleMsMax = 30_000

export interface Outcome {
  readonly acked: number
  readonly perSecond: number
  /** Ascending, in ms. */
  readonly latencies: ReadonlyArray<number>
  readonly cpuMicrosPerSend: number
  /** By thread; what is below half a microsecond is left out. */
  readonly threadMicrosPerSend: Readonly<Record<string, number>>
  readonly serverShare: number
  readonly generatorShare: number
  /** Whatever `count` gave, as of this window. */
  readonly counted: number
}

export interface RunOptions {
  readonly server: CpuSource
  readonly load: Load
  readonly warmMs: number
  readonly measureMs: number
  readonly send: SendOne
  /** Deliveries, say. */
  readonly count?: () => number
}

export const runSends = async (options: RunOptions): Promise<Outcome> => {
  const { count = () => 0, load, measureMs, send, server, warmMs } = options
  let latencies: Array<number> = []
  let acked = 0
  let open = 0
  let turn = 0
  let stopped = false
  const sendOne = () => {
    open++
    const at = performance.now()
    send(turn++, () => {
      open--
      acked++
      latencies.push(performance.now() - at)
      if (load._tag === "closed" && !stopped) sendOne()
    })
  }
  if (load._tag === "closed") for (let i = 0; i < load.inFlight; i++) sendOne()
  const pacer = load._tag === "paced" ? pace(load.perSecond, () => open < openMax, sendOne) : undefined
  await pause(warmMs)
  latencies = []
  const [ackedBefore, countedBefore] = [acked, count()]
  const cpu = watchCpu(server)
  await pause(measureMs)
  const { generator, seconds, serverSeconds, threads } = cpu()
  const done = acked - ackedBefore
  const counted = count() - countedBefore
  const measured = latencies
  stopped = true
  clearInterval(pacer)
  if (!(await until(() => open === 0, settleMsMax))) throw new Error(`${open} sends were never answered`)
  return {
    acked: done,
    perSecond: done / seconds,
    latencies: measured.sort((a, b) => a - b),
    cpuMicrosPerSend: (serverSeconds * 1e6) / done,
    threadMicrosPerSend: Object.fromEntries(
      Object.entries(threads)
        .map(([name, used]) => [name, Number(((used * 1e6) / done).toFixed(1))] as const)
        .filter(([, micros]) => micros >= 0.5)
    ),
    serverShare: serverSeconds / seconds,
    generatorShare: generator,
    counted
  }
}

/** Calls `tick` so often on average, in bursts of a millisecond. */
export const pace = (perSecond: number, may: () => boolean, tick: () => void): NodeJS.Timeout => {
  const begun = performance.now()
  let done = 0
  return setInterval(() => {
    for (const due = ((performance.now() - begun) * perSecond) / 1_000; done < due && may(); done++) tick()
  }, 1)
}
