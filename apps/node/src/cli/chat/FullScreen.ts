/**
 * The full screen: keys go to the input line, the client's views to the painter, and what a person sees counts as read.
 * State lives here; how it looks is Screen's, what commands do is ChatActions'.
 */
import type { ReadStream, WriteStream } from "node:tty"
import type { ChatClient } from "@parley/client/ChatClient"
import type { ChannelView } from "@parley/client/ChannelView"
import { type ChatShell, onlineUsers, runCommand, usersSeen } from "./ChatActions.ts"
import { harmless } from "./CellText.ts"
import { commandNames, help, parseCommand } from "./Commands.ts"
import type { Key } from "./Keys.ts"
import * as Edit from "./LineEditor.ts"
import { rowsAfter } from "./MessageRows.ts"
import { layoutOf, paint, paneRows } from "./Screen.ts"
import { Terminal } from "./Terminal.ts"

/** Screens are not painted more often than a person can see. */
const frameMs = 33
const noticeMs = 8_000
/** What is unsent when one quits gets this long. */
const quitIdleMs = 3_000

const editing: ReadonlyMap<string, (line: Edit.LineEditor) => Edit.LineEditor> = new Map([
  ["left", Edit.left],
  ["ctrl-b", Edit.left],
  ["right", Edit.right],
  ["ctrl-f", Edit.right],
  ["word-left", Edit.wordLeft],
  ["word-right", Edit.wordRight],
  ["home", Edit.home],
  ["ctrl-a", Edit.home],
  ["end", Edit.end],
  ["ctrl-e", Edit.end],
  ["backspace", Edit.backspace],
  ["delete", Edit.remove],
  ["ctrl-w", Edit.cutWord],
  ["ctrl-u", Edit.cutToStart],
  ["ctrl-k", Edit.cutToEnd],
  ["ctrl-y", Edit.paste],
  ["newline", (line) => Edit.insert(line, "\n")],
  ["up", (line) => Edit.recall(line, 1)],
  ["down", (line) => Edit.recall(line, -1)]
])

export class FullScreen implements ChatShell {
  readonly client: ChatClient
  readonly #terminal: Terminal
  readonly #ended: () => void
  #current: string
  #line = Edit.emptyLine
  /** What was being written elsewhere, by channel. */
  readonly #drafts = new Map<string, string>()
  #scroll = 0
  #atTop = false
  /** Key of the newest message when the screen was painted last. */
  #newestKey: string | undefined
  #newAfter: number | null = null
  /** After /unread the channel stays unread until one comes back to it, or writes. */
  #keepUnread = false
  #notice: { readonly text: string; readonly alarm: boolean } | null = null
  #noticeTimer: NodeJS.Timeout | undefined
  #overlay: ReadonlyArray<string> | null = null
  #painting: NodeJS.Timeout | undefined
  #ticking: NodeJS.Timeout | undefined
  #unsubscribe: ReadonlyArray<() => void> = []
  #left: (() => void) | undefined
  #quitting = false

  constructor(
    client: ChatClient,
    channel: string,
    terminal: { readonly input: ReadStream; readonly output: WriteStream },
    on: { readonly ended: () => void; readonly gone: () => void }
  ) {
    this.client = client
    this.#current = channel
    this.#ended = on.ended
    this.#terminal = new Terminal(terminal.input, terminal.output, {
      keys: (keys) => this.#keys(keys),
      resize: () => this.#changed(),
      gone: on.gone
    })
  }

  start(): void {
    this.#terminal.enter()
    const changed = () => this.#changed()
    this.#unsubscribe = [
      this.client.onStatus(changed),
      this.client.channels.subscribe(changed),
      this.client.presence.subscribe(changed)
    ]
    // A countdown and the time of typing signs move without anything happening.
    this.#ticking = setInterval(() => {
      if (this.client.status.state === "waiting") this.#changed()
    }, 1_000)
    this.#look()
  }

  stop(): void {
    clearTimeout(this.#painting)
    clearTimeout(this.#noticeTimer)
    clearInterval(this.#ticking)
    this.#left?.()
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    this.#terminal.leave()
  }

  // --- the shell of commands ---------------------------------------------------------------------------------

  current(): string {
    return this.#current
  }

  go(channel: string): void {
    if (channel === this.#current && this.#left !== undefined) return
    this.#drafts.set(this.#current, this.#line.text)
    this.#left?.()
    this.#current = channel
    this.#line = Edit.replaced(this.#line, this.#drafts.get(channel) ?? "")
    this.#drafts.delete(channel)
    this.#look()
  }

  notice(text: string, alarm = false): void {
    this.#notice = { text: harmless(text), alarm }
    clearTimeout(this.#noticeTimer)
    this.#noticeTimer = setTimeout(() => {
      this.#notice = null
      this.#changed()
    }, noticeMs)
    this.#changed()
  }

  edit(text: string): void {
    this.#line = Edit.replaced(this.#line, text)
    this.#changed()
  }

  help(): void {
    this.#overlay = help
    this.#changed()
  }

  /** Unsent messages get a moment; a second /quit or Ctrl-C does not wait. */
  quit(): void {
    if (this.#quitting) return this.#ended()
    this.#quitting = true
    const timer = setTimeout(() => this.#ended(), quitIdleMs)
    void this.client.idle().then(() => {
      clearTimeout(timer)
      this.#ended()
    })
    this.notice("Sending what is left… (again: quit at once)")
  }

  // --- keys --------------------------------------------------------------------------------------------------

  #keys(keys: ReadonlyArray<Key>): void {
    for (const key of keys) this.#key(key)
    this.#changed()
  }

  #key(key: Key): void {
    if (key._tag !== "Key")
      return this.#write(Edit.insert(this.#line, key._tag === "Paste" ? key.text.replace(/\0/g, "") : key.text))
    const edit = editing.get(key.name)
    if (edit !== undefined) return this.#write(edit(this.#line))
    switch (key.name) {
      case "enter":
        return this.#enter()
      case "tab":
        return this.#complete()
      case "ctrl-n":
        return this.#step(1)
      case "ctrl-p":
      case "shift-tab":
        return this.#step(-1)
      case "pageup":
        return this.#scrollBy(1)
      case "pagedown":
        return this.#scrollBy(-1)
      case "escape":
        this.#overlay = null
        this.#notice = null
        return this.#toEnd()
      case "ctrl-d":
        return this.#line.text === "" ? this.quit() : this.#write(Edit.remove(this.#line))
      case "ctrl-c":
        return this.quit()
      case "ctrl-l":
        return this.#terminal.redraw()
      case "ctrl-z":
        return this.#terminal.suspend()
      default:
        return
    }
  }

  #write(line: Edit.LineEditor): void {
    const view = this.client.channel(this.#current)
    if (line.text !== this.#line.text && !line.text.startsWith("/")) {
      if (line.text === "") view.stopTyping()
      else view.typing()
    }
    this.#line = line
  }

  #enter(): void {
    const { text } = this.#line
    if (text.trim() === "") return
    this.#line = Edit.taken(this.#line)
    this.#overlay = null
    this.#notice = null
    this.#toEnd()
    const command = parseCommand(text)
    if (command._tag === "Say") {
      this.#keepUnread = false
      this.#newAfter = null
    }
    if (command._tag === "Unread") this.#keepUnread = true
    runCommand(this, command).catch((error: unknown) =>
      this.notice(error instanceof Error ? error.message : String(error), true)
    )
  }

  #complete(): void {
    const users = [...usersSeen(this.client)].map((user) => `@${user}`)
    const completed = Edit.complete(this.#line, [...commandNames, ...users])
    if (completed !== null) this.#write(completed)
    else if (this.#line.text === "") this.#step(1)
  }

  #step(by: 1 | -1): void {
    const { channels } = this.client.channels.snapshot()
    const ordered = channels.map(({ channel }) => channel).toSorted()
    if (ordered.length === 0) return
    const at = ordered.indexOf(this.#current)
    const next = ordered[(at + by + ordered.length) % ordered.length]
    if (next !== undefined) this.go(next)
  }

  #scrollBy(pages: 1 | -1): void {
    const page = Math.max(1, paneRows(this.#terminal.size) - 2)
    if (pages === 1 && this.#atTop) this.#older()
    this.#scroll = Math.max(0, this.#scroll + pages * page)
    if (this.#scroll === 0) this.#toEnd()
  }

  #toEnd(): void {
    if (this.#scroll > 0) this.client.channel(this.#current).release()
    this.#scroll = 0
    this.#read()
  }

  #older(): void {
    const view = this.client.channel(this.#current)
    if (!view.snapshot().more) return
    view.loadOlder().then(
      () => this.#changed(),
      (error: unknown) => this.notice(error instanceof Error ? error.message : String(error), true)
    )
  }

  // --- what is seen ------------------------------------------------------------------------------------------

  /** Begins to look at the current channel. */
  #look(): void {
    const view = this.client.channel(this.#current)
    const unsubscribe = view.subscribe(() => this.#arrived(view))
    view.watch()
    this.#left = () => {
      view.stopTyping()
      view.unwatch()
      unsubscribe()
    }
    const { cursor, unread } = view.snapshot()
    this.#newAfter = unread > 0 ? cursor : null
    this.#keepUnread = false
    this.#scroll = 0
    this.#newestKey = view.snapshot().messages.at(-1)?.key
    this.#fill(view)
    this.#read()
    this.#changed()
  }

  #arrived(view: ChannelView): void {
    const { messages } = view.snapshot()
    if (this.#scroll > 0 && this.#newestKey !== undefined) {
      // Whoever reads further up is not moved by what comes below.
      const { main: width } = layoutOf(this.#terminal.size)
      this.#scroll += rowsAfter(messages, this.#newestKey, { me: this.client.user, width, newAfter: this.#newAfter })
    }
    this.#newestKey = messages.at(-1)?.key
    this.#fill(view)
    this.#read()
    this.#changed()
  }

  /** After a reload, or at first, the view is empty: a page of history makes it a conversation. */
  #fill(view: ChannelView): void {
    const { loading, messages, more, status } = view.snapshot()
    if (status !== "member" || loading || !more || messages.length >= paneRows(this.#terminal.size)) return
    if (this.client.status.state !== "online") return
    // A failure is shown by the status line; the next event or PgUp tries again.
    view.loadOlder().catch(() => {})
  }

  #read(): void {
    if (this.#scroll === 0 && !this.#keepUnread) this.client.channel(this.#current).read()
  }

  #changed(): void {
    this.#painting ??= setTimeout(() => {
      this.#painting = undefined
      this.#paint()
    }, frameMs)
  }

  #paint(): void {
    this.client.presence.watch(usersSeen(this.client))
    const { channels } = this.client.channels.snapshot()
    const painting = paint(
      {
        me: this.client.user,
        status: this.client.status,
        now: Date.now(),
        // By name, not by liveliness: what one reaches for stays where it is.
        channels: channels.toSorted((a, b) => (a.channel < b.channel ? -1 : 1)),
        current: this.client.channel(this.#current).snapshot(),
        online: onlineUsers(this.client),
        newAfter: this.#newAfter,
        scroll: this.#scroll,
        input: this.#line,
        notice: this.#notice,
        overlay: this.#overlay
      },
      this.#terminal.size
    )
    this.#scroll = painting.scroll
    this.#atTop = painting.atTop
    this.#terminal.show(painting)
  }
}
