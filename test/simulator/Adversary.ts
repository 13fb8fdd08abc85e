/**
 * What goes wrong in a run, from its seed: nodes die and come back, pause past their leases, are suspended with their clock
 * standing still; hosts are cut from each other; log, stores and network have bad spells. Each trouble is temporary, and
 * `heal` ends them all.
 */
import type { Random } from "../harness/Random.ts"
import { fair, type Weather } from "./SimNetwork.ts"
import { goodLog, type LogWeather } from "./SimLog.ts"
import type { Cluster, SimNode } from "./SimNode.ts"
import { leaseMs } from "./SimPlacement.ts"
import { goodStore } from "./SimStores.ts"

/** Between two troubles, on average. */
const everyMs = 1_500
const longestMs = 7_000

export interface AdversaryOptions {
  readonly cluster: Cluster
  readonly random: Random
  readonly hosts: ReadonlyArray<string>
  readonly start: (host: string) => void
}

const troubles = {
  kill: 5,
  pause: 7,
  suspend: 2,
  cut: 6,
  isolate: 5,
  weather: 5,
  logWeather: 7,
  logAway: 2,
  logFull: 2,
  storeWeather: 4,
  storeAway: 3,
  storePower: 1,
  shuffle: 5
} as const

export class Adversary {
  readonly #options: AdversaryOptions
  readonly #random: Random
  #over = false

  constructor(options: AdversaryOptions) {
    this.#options = options
    this.#random = options.random
  }

  begin(): void {
    const next = () => {
      if (this.#over) return
      this.#trouble()
      this.#later(this.#random.next() * everyMs * 2, next)
    }
    next()
  }

  /** Everything works from now on, and everybody is up. */
  heal(): void {
    this.#over = true
    const { cluster, hosts, start } = this.#options
    const { log, network, nodes, stores } = cluster
    network.weather = fair
    network.mendAll()
    log.weather = goodLog
    log.away = false
    log.setFull(undefined)
    stores.weather = goodStore
    stores.away = false
    for (const host of hosts) {
      const node = nodes.get(host)
      if (node?.process.alive !== true) start(host)
      else node.process.pausedUntil = 0
    }
  }

  #later(ms: number, run: () => void): void {
    const { time } = this.#options.cluster
    time.after(ms, time.current, run)
  }

  /** For a while; the later of two that overlap ends both. */
  #spell(begin: () => void, end: () => void): number {
    const ms = this.#random.next() * longestMs
    begin()
    this.#later(ms, () => {
      if (!this.#over) end()
    })
    return ms
  }

  #node(): SimNode | undefined {
    return this.#random.pick([...this.#options.cluster.nodes.values()].filter(({ process }) => process.alive))
  }

  #trouble(): void {
    const { cluster } = this.#options
    const { log, network, note, placement, stores } = cluster
    const trouble = this.#random.weighted(troubles)
    switch (trouble) {
      case "kill":
        return this.#kill()
      case "pause":
        return this.#pause(false)
      case "suspend":
        return this.#pause(true)
      case "cut":
        return this.#cut()
      case "isolate":
        return this.#isolate()
      case "weather":
        note("the network is bad")
        this.#spell(
          () => (network.weather = this.#weather()),
          () => (network.weather = fair)
        )
        return
      case "logWeather":
        note("the log is bad")
        this.#spell(
          () => (log.weather = this.#logWeather()),
          () => (log.weather = goodLog)
        )
        return
      case "logAway":
        note("the log is away")
        this.#spell(
          () => (log.away = true),
          () => (log.away = false)
        )
        return
      case "logFull":
        note("the log is full")
        this.#spell(
          () => log.setFull(this.#random.next() < 0.7 ? "soft" : "hard"),
          () => log.setFull(undefined)
        )
        return
      case "storeWeather":
        note("the stores are bad")
        this.#spell(
          () => {
            const part = this.#random.next() * 0.5
            stores.weather = { failsBefore: part, failsAfter: part, late: this.#random.next() * 0.3 }
          },
          () => (stores.weather = goodStore)
        )
        return
      case "storeAway":
        note("the stores are away")
        this.#spell(
          () => (stores.away = true),
          () => (stores.away = false)
        )
        return
      case "storePower":
        note("the stores lose power")
        return stores.losePower()
      case "shuffle":
        note("shards are wanted elsewhere")
        return placement.shuffle()
    }
  }

  #kill(): void {
    const { cluster, start } = this.#options
    const node = this.#node()
    if (node === undefined) return
    const { host, name } = node.process
    cluster.note(`${name} is killed`)
    node.kill()
    this.#later(200 + this.#random.next() * longestMs, () => {
      if (!this.#over && cluster.nodes.get(host)?.process.alive !== true) start(host)
    })
  }

  /** A suspended machine's monotonic clock stands still, and its wall clock does not. */
  #pause(suspended: boolean): void {
    const { note, time } = this.#options.cluster
    const process = this.#node()?.process
    if (process === undefined || process.pausedUntil > time.now) return
    const ms = this.#random.next() * longestMs
    note(`${process.name} ${suspended ? "is suspended" : "pauses"} for ${ms.toFixed(0)} ms`)
    process.pausedUntil = time.now + ms
    if (suspended) process.monotonicOffset -= ms
  }

  #cut(): void {
    const { hosts } = this.#options
    const { network, note } = this.#options.cluster
    const one = this.#random.pick(hosts) ?? ""
    const other = this.#random.pick(["log", "kv", "store", ...hosts].filter((host) => host !== one)) ?? ""
    const ways: ReadonlyArray<readonly [string, string]> =
      this.#random.pick([
        [[one, other]],
        [[other, one]],
        [
          [one, other],
          [other, one]
        ]
      ] as const) ?? []
    note(`cut: ${ways.map((way) => way.join(" → ")).join(", ")}`)
    this.#spell(
      () => {
        for (const [from, to] of ways) network.cut(from, to)
      },
      () => {
        for (const [from, to] of ways) network.mend(from, to)
      }
    )
  }

  /** Only its clients reach it, for longer than its leases last; now and then the log as well. */
  #isolate(): void {
    const { cluster, hosts } = this.#options
    const { network, note } = cluster
    const one = this.#random.pick(hosts) ?? ""
    const others = ["kv", ...hosts, ...(this.#random.next() < 0.7 ? ["log"] : [])].filter((host) => host !== one)
    note(`${one} is isolated from ${others.join(", ")}`)
    for (const other of others) {
      network.cut(one, other)
      network.cut(other, one)
    }
    this.#later(leaseMs + this.#random.next() * longestMs, () => {
      if (this.#over) return
      for (const other of others) {
        network.mend(one, other)
        network.mend(other, one)
      }
    })
  }

  #weather(): Weather {
    return {
      lost: this.#random.next() * 0.3,
      twice: this.#random.next() * 0.2,
      slow: this.#random.next() * 0.4,
      typicalMs: 1 + this.#random.next() * 10,
      slowMs: this.#random.next() * 1_500
    }
  }

  #logWeather(): LogWeather {
    const often = () => (this.#random.next() < 0.5 ? this.#random.next() * 0.6 : 0)
    return {
      late: often(),
      refused: often() / 2,
      ambiguous: often(),
      unknown: often(),
      staleRefusal: often(),
      staleRead: often(),
      staleFollower: often()
    }
  }
}
