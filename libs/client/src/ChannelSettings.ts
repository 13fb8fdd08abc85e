/**
 * A channel's name, topic, member count and fan-out, as of a seq. Heads bring them whole, events change them; whichever
 * is older than what is known changes nothing, so the two may come in any order.
 */
import type { PlainEvent, PlainHead } from "./PlainFrame.ts"

export interface SettingsValues {
  readonly name: string
  readonly topic: string
  readonly members: number
  readonly role: PlainHead["role"]
  readonly fanout: PlainHead["fanout"]
}

export const unknownSettings: SettingsValues = { name: "", topic: "", members: 0, role: "member", fanout: "write" }

export class ChannelSettings {
  #values = unknownSettings
  #asOf = -1

  get values(): SettingsValues {
    return this.#values
  }

  adopt(head: PlainHead): void {
    if (head.seq < this.#asOf) return
    this.#asOf = head.seq
    const { name, topic, members, role, fanout } = head
    this.#values = { name, topic, members, role, fanout }
  }

  apply(event: PlainEvent): void {
    if (event.seq <= this.#asOf) return
    const change = changeBy(event, this.#values)
    if (change === undefined) return
    this.#asOf = event.seq
    this.#values = { ...this.#values, ...change }
  }
}

const changeBy = (event: PlainEvent, values: SettingsValues): Partial<SettingsValues> | undefined => {
  switch (event.kind) {
    case "created":
      return { name: event.name, topic: event.topic, members: event.members.length, fanout: event.fanout }
    case "updated":
      return {
        ...(event.name === undefined ? {} : { name: event.name }),
        ...(event.topic === undefined ? {} : { topic: event.topic })
      }
    case "added":
      return { members: values.members + event.members.length }
    case "removed":
      return { members: Math.max(0, values.members - event.members.length) }
    case "fanout":
      return { fanout: event.fanout }
    default:
      return undefined
  }
}
