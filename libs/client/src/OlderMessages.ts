/**
 * Pages of history in front of what a view holds, one at a time. A page that edits overtook in too great a number, or
 * that belongs to another generation, is not used (NO-GAP-SYNC).
 */
import type { ChannelReplica } from "./ChannelReplica.ts"
import type { ViewHost } from "./ChannelView.ts"
import type { AnswerOf, Result } from "./PlainFrame.ts"
import { failureOf, RequestFailed } from "./RequestFailed.ts"

/** A page that could not be used is asked for again this often. */
const pageTriesMax = 3

export class OlderMessages {
  readonly #channel: string
  readonly #replica: ChannelReplica
  readonly #host: Pick<ViewHost, "request" | "resync" | "settings">
  readonly #changed: () => void
  #loading: Promise<boolean> | undefined
  /** There may be older messages than those held. */
  more = true
  /** Scrolled back by hand: the view may hold more than usual. */
  scrolled = false

  constructor(
    channel: string,
    replica: ChannelReplica,
    host: Pick<ViewHost, "request" | "resync" | "settings">,
    changed: () => void
  ) {
    this.#channel = channel
    this.#replica = replica
    this.#host = host
    this.#changed = changed
  }

  get loading(): boolean {
    return this.#loading !== undefined
  }

  /** Resolves to whether there are more; rejects with RequestFailed. */
  load(): Promise<boolean> {
    if (this.#loading !== undefined) return this.#loading
    if (!this.#canLoad()) return Promise.resolve(false)
    this.#loading = this.#load().finally(() => {
      this.#loading = undefined
      this.#changed()
    })
    this.#changed()
    return this.#loading
  }

  #canLoad(): boolean {
    const { messages } = this.#replica.window
    return this.#replica.status === "member" && this.more && messages.length < this.#host.settings.messagesScrolledMax
  }

  async #load(): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      const window = this.#replica.window
      window.pageAsked()
      const result = await this.#page(window.floor + 1)
      if (result._tag !== "Ok") {
        window.pageFailed()
        throw failureOf(result)
      }
      const page = result.value
      // A reload made a new window meanwhile: whoever still wants older messages asks that one.
      if (window !== this.#replica.window) return this.more
      if (page.generation !== this.#replica.position?.generation) {
        window.pageFailed()
        this.#host.resync()
        return this.more
      }
      if (window.prepend(page.from, page.to, page.events)) {
        this.more = page.before && window.floor > 0
        // A page or two are no scrolling back: the usual bound does for them.
        this.scrolled = window.messages.length > this.#host.settings.messagesHeldMax / 2
        return this.more
      }
      if (attempt === pageTriesMax) throw new RequestFailed("unavailable", "The page of history can't be used.", true)
    }
  }

  #page(before: number): Promise<Result<AnswerOf<"history">>> {
    const fields = { channel: this.#channel, before, limit: this.#host.settings.historyPageRows }
    return new Promise((resolve) => this.#host.request("history", fields, resolve))
  }
}
