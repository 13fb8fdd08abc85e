/**
 * Which devices are here, told to their presence shards in batches: one message an interval and shard, not one a user,
 * so that a reconnect storm costs as much as a quiet minute (†6). A report goes out each interval, also an empty one:
 * an edge that stops reporting takes its users offline. Everything is told again to a new owner, after a failed report,
 * and every so often.
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { ask } from "./OwnerAnswers.ts"

/** Intervals between full reports; each shard starts at its own one. */
const fullEvery = 60

export type DeviceState = "online" | "away"

interface Device {
  readonly user: string
  readonly device: string
  /** Connections that say so; the device is gone with the last one. */
  connections: number
  state: DeviceState
}

interface ShardReport {
  readonly devices: Map<string, Device>
  readonly changed: Set<string>
  /** Gone since the last report. */
  readonly gone: Map<string, { readonly user: string; readonly device: string }>
  full: boolean
  inFlight: boolean
  /** The epoch of the owner that has everything. */
  epoch: number
  turn: number
}

export interface PresenceReportsOptions {
  readonly edge: string
  readonly calls: OwnerCalls["Service"]
  readonly intervalMs: number
  readonly epochOf: (shard: number) => number
}

export class PresenceReports {
  readonly #options: PresenceReportsOptions
  readonly #shards = new Map<number, ShardReport>()
  #timer: NodeJS.Timeout | undefined = undefined

  constructor(options: PresenceReportsOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = setInterval(() => this.flush(), this.#options.intervalMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  came(user: string, device: string): void {
    const report = this.#report(user)
    const key = `${user}/${device}`
    const known = report.devices.get(key)
    if (known !== undefined) {
      known.connections++
      return
    }
    report.devices.set(key, { user, device, connections: 1, state: "online" })
    report.gone.delete(key)
    report.changed.add(key)
  }

  set(user: string, device: string, state: DeviceState): void {
    const report = this.#report(user)
    const key = `${user}/${device}`
    const known = report.devices.get(key)
    if (known === undefined || known.state === state) return
    known.state = state
    report.changed.add(key)
  }

  went(user: string, device: string): void {
    const report = this.#report(user)
    const key = `${user}/${device}`
    const known = report.devices.get(key)
    if (known === undefined || --known.connections > 0) return
    report.devices.delete(key)
    report.changed.delete(key)
    report.gone.set(key, { user, device })
  }

  /** Sends what is due. */
  flush(): void {
    for (const [shard, report] of this.#shards) if (!report.inFlight) this.#send(shard, report)
  }

  #send(shard: number, report: ShardReport): void {
    const epoch = this.#options.epochOf(shard)
    const full = report.full || epoch !== report.epoch || ++report.turn % fullEvery === 0
    const gone = [...report.gone.values()].map((device) => ({ ...device, state: "gone" as const }))
    const here: Array<{ user: string; device: string; state: DeviceState }> = []
    for (const key of full ? report.devices.keys() : report.changed) {
      const known = report.devices.get(key)
      if (known !== undefined) here.push({ user: known.user, device: known.device, state: known.state })
    }
    report.gone.clear()
    report.changed.clear()
    report.full = false
    report.epoch = epoch
    report.inFlight = true
    const devices = [...here, ...gone]
    ask(this.#options.calls, shard, { _tag: "Report", shard, edge: this.#options.edge, full, devices }, (reply) => {
      report.inFlight = false
      if (!("ok" in reply)) report.full = true
      else if (report.devices.size === 0 && report.changed.size === 0 && report.gone.size === 0)
        this.#shards.delete(shard)
    })
  }

  #report(user: string): ShardReport {
    const shard = this.#options.calls.shardOf(user)
    let report = this.#shards.get(shard)
    if (report === undefined) {
      report = {
        devices: new Map(),
        changed: new Set(),
        gone: new Map(),
        full: true,
        inFlight: false,
        epoch: this.#options.epochOf(shard),
        turn: Math.floor(Math.random() * fullEvery)
      }
      this.#shards.set(shard, report)
    }
    return report
  }
}
