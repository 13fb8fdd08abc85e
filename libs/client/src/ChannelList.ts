/**
 * The channels the user is in, the liveliest first, with what is unread in all of them. The snapshot stays the same
 * object until something changes.
 */
import type { ChannelSnapshot } from "./ChannelSnapshot.ts"
import type { ChannelView } from "./ChannelView.ts"
import { Observers, type Unsubscribe } from "./Observers.ts"

export type ChannelListItem = Pick<
  ChannelSnapshot,
  "channel" | "name" | "topic" | "members" | "fanout" | "unread" | "mentions" | "last" | "head"
>

export interface ChannelListSnapshot {
  readonly channels: ReadonlyArray<ChannelListItem>
  readonly unread: number
  readonly mentions: number
}

export class ChannelList {
  readonly #views: ReadonlyMap<string, ChannelView>
  readonly #observers = new Observers()
  #snapshot: ChannelListSnapshot | undefined

  constructor(views: ReadonlyMap<string, ChannelView>) {
    this.#views = views
  }

  subscribe(observer: () => void): Unsubscribe {
    return this.#observers.add(observer)
  }

  snapshot(): ChannelListSnapshot {
    this.#snapshot ??= this.#make()
    return this.#snapshot
  }

  changed(): void {
    this.#snapshot = undefined
    this.#observers.changed()
  }

  #make(): ChannelListSnapshot {
    const channels: Array<ChannelListItem> = []
    for (const { replica, channel } of this.#views.values()) {
      if (replica.status !== "member") continue
      const { name, topic, members, fanout } = replica.settings.values
      const { unread, mentions } = replica.unread
      const last = replica.last
      channels.push({
        channel,
        name,
        topic,
        members,
        fanout,
        unread,
        mentions,
        head: replica.known,
        last: last && { seq: last.seq, at: last.at, by: last.by, text: last.text, deleted: last.deleted !== undefined }
      })
    }
    channels.sort((a, b) => (b.last?.at ?? 0) - (a.last?.at ?? 0) || (a.channel < b.channel ? -1 : 1))
    const sum = (of: (item: ChannelListItem) => number) => channels.reduce((total, item) => total + of(item), 0)
    return { channels, unread: sum((item) => item.unread), mentions: sum((item) => item.mentions) }
  }
}
