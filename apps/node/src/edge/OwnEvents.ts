/**
 * What a connection is not shown because it caused it: its ack says the same. Where the ack does not come ("unavailable",
 * "outcome unknown" for an event that is in), the event is shown to it after all, whether it passes by later or did already
 * (NO-GAP-SYNC). A connection has one of these only while it has mutations under way, or such that ended so.
 * Plain TypeScript on the hot path: bench `send`.
 */
import { channelTopic } from "@parley/actors/owner/OwnerProtocol"
import type { Event } from "./Topic.ts"

/** Own events that wait for their ack; beyond it the oldest is shown: what a client has twice it drops. */
export const passedMax = 256
/** Acks that overtook their events; beyond it the oldest is forgotten, and its event waits as if it had none. */
export const overtookMax = 256
/** Mutations of one connection of which it does not know how they ended; beyond it all own events are shown. */
export const unsureMax = 256

interface Passed {
  readonly item: Event
  readonly show: () => void
}

export class OwnEvents {
  #underWay = 0
  #passed: Array<Passed> = []
  /** Topic and seq of events that are acknowledged, and have not passed. */
  readonly #overtook = new Set<string>()
  /** By the client's id. */
  readonly #unsure = new Set<string>()
  #unsureOfAll = false

  /** Nothing is to be remembered. */
  get idle(): boolean {
    return this.#underWay === 0 && this.#unsure.size === 0 && !this.#unsureOfAll
  }

  asked(): void {
    this.#underWay++
  }

  acked(channel: string, cid: string, seq: number): void {
    this.#unsure.delete(cid)
    const at = this.#passed.findIndex(({ item }) => item.to === seq && item.topic === channelTopic(channel))
    if (at >= 0) this.#passed.splice(at, 1)
    else this.#acknowledged(nameOf(channelTopic(channel), seq))
    this.#ended()
  }

  /** The client is told that it failed. `unsure`: it may be in, or come in. */
  failed(cid: string, unsure: boolean): void {
    if (unsure) {
      if (this.#unsure.size < unsureMax) this.#unsure.add(cid)
      else this.#unsureOfAll = true
      const own = this.#passed.filter(({ item }) => hasCid(item, cid))
      this.#passed = this.#passed.filter((passed) => !own.includes(passed))
      for (const { show } of own) show()
    }
    this.#ended()
  }

  /** Its own event comes by: true where its ack is enough. `show` is called if that does not come. */
  passes(item: Event, show: () => void): boolean {
    if (this.#unsureOfAll) return false
    for (const cid of this.#unsure) if (hasCid(item, cid)) return false
    if (this.#underWay === 0 || this.#overtook.delete(nameOf(item.topic, item.to))) return true
    this.#passed.push({ item, show })
    if (this.#passed.length > passedMax) this.#passed.shift()?.show()
    return true
  }

  #acknowledged(name: string): void {
    this.#overtook.add(name)
    if (this.#overtook.size <= overtookMax) return
    for (const oldest of this.#overtook) {
      this.#overtook.delete(oldest)
      return
    }
  }

  #ended(): void {
    this.#underWay--
    if (this.#underWay > 0) return
    // Every own event so far has had its answer.
    this.#passed = []
    this.#overtook.clear()
  }
}

const nameOf = (topic: string, seq: number): string => `${topic} ${seq}`

/** The body is our own encoding of an event: inside of a text there is no quote without a backslash. */
const hasCid = (item: Event, cid: string): boolean => item.body.includes(`"cid":"${cid}"`)
