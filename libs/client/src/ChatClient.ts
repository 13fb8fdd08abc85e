/**
 * The client: one device of one user, connected as long as it is started, with a view of each channel. This file puts
 * the parts together and sends each frame to its part; what a part promises stands there. Plain TypeScript, for
 * browsers and Node, without a dependency.
 */
import { ChannelList } from "./ChannelList.ts"
import { ChannelView } from "./ChannelView.ts"
import { Conditions } from "./Conditions.ts"
import { ClientIds } from "./ClientIds.ts"
import { type ClientSettings, defaultSettings } from "./ClientSettings.ts"
import { type ClientStorage, memoryStorage } from "./ClientStorage.ts"
import { Clock } from "./Clock.ts"
import { Connection, type ConnectionStatus } from "./Connection.ts"
import { type Environment, platformEnvironment } from "./Environment.ts"
import { callSafely, Observers, type Unsubscribe } from "./Observers.ts"
import { Outbox, type Sent } from "./Outbox.ts"
import type { AnswerOf, OpFields, PlainPush, PlainUserEvent } from "./PlainFrame.ts"
import { PresenceView } from "./PresenceView.ts"
import { Reads } from "./Reads.ts"
import { failureOf } from "./RequestFailed.ts"
import { SessionFeed } from "./SessionFeed.ts"
import { socketUrl } from "./SocketAddress.ts"
import { Synchronizer, type SyncOutcome } from "./Synchronizer.ts"
import type { TokenOption } from "./TokenSource.ts"

export interface ChatClientOptions {
  /**
   * `http(s)://host:port` or `ws(s)://host:port`; without a path, `/v1/socket` is meant. Any node of a cluster, or what
   * stands before them: the client asks it which edge to use.
   */
  readonly url: string
  /** Edges of this zone are preferred. */
  readonly zone?: string
  readonly token: TokenOption
  /** Names this device or browser profile; made and stored when left out. */
  readonly device?: string
  /** Default: memory, which forgets unsent messages with the page. */
  readonly storage?: ClientStorage
  /** Name and version of the program, for operators. */
  readonly client?: string
  readonly settings?: Partial<ClientSettings>
  readonly environment?: Environment
  /** What went wrong without a caller to tell it to. */
  readonly onProblem?: (what: string, error: unknown) => void
}

export class ChatClient {
  readonly channels: ChannelList
  readonly presence: PresenceView
  readonly #settings: ClientSettings
  readonly #environment: Environment
  readonly #storage: ClientStorage
  readonly #clock: Clock
  readonly #ids: ClientIds
  readonly #outbox: Outbox
  readonly #reads: Reads
  readonly #session: SessionFeed
  readonly #sync: Synchronizer
  readonly #connection: Connection
  readonly #views = new Map<string, ChannelView>()
  readonly #statusObservers = new Observers()
  readonly #conditions = new Conditions()
  readonly #onProblem: (what: string, error: unknown) => void
  #device: string | undefined
  #user = ""
  #started = false
  #ready = false
  /** Watches of this connection are not made yet. */
  #toWatch = false
  #background = false

  constructor(options: ChatClientOptions) {
    // What is no address is said at once.
    socketUrl(options.url)
    this.#settings = { ...defaultSettings, ...options.settings }
    this.#environment = options.environment ?? platformEnvironment
    this.#storage = options.storage ?? memoryStorage()
    this.#onProblem = options.onProblem ?? (() => {})
    this.#device = options.device
    const settings = this.#settings
    const environment = this.#environment
    this.#clock = new Clock(() => environment.now())
    this.#ids = new ClientIds(
      () => this.#clock.serverNow(),
      (count) => environment.randomBytes(count)
    )
    this.channels = new ChannelList(this.#views)
    this.#outbox = new Outbox(this.#outboxHost(), this.#storage, environment, settings)
    this.#reads = new Reads(this.#readsHost(), environment, settings)
    this.#session = new SessionFeed(settings.heldBackMax, (event) => this.#personal(event))
    this.#sync = new Synchronizer(this.#syncHost(), environment, settings)
    this.#connection = new Connection(
      {
        url: options.url,
        zone: options.zone ?? "",
        token: options.token,
        device: () => this.#device ?? "",
        client: options.client ?? "parley-client"
      },
      {
        environment,
        settings,
        clock: this.#clock,
        online: (hello) => this.#online(hello),
        offline: () => this.#offline(),
        pushed: (push) => this.#pushed(push),
        changed: () => {
          this.#statusObservers.changed()
          this.#conditions.check()
        }
      }
    )
    this.presence = new PresenceView(
      { request: (op, fields, done) => this.#connection.request(op, fields, done) },
      environment,
      settings
    )
  }

  /** The user that the token names; before the first hello whose unsent messages are in storage, or the empty string. */
  get user(): string {
    return this.#user === "" ? (this.#outbox.user ?? "") : this.#user
  }

  get device(): string | undefined {
    return this.#device
  }

  get status(): ConnectionStatus {
    return this.#connection.status
  }

  /** The server's clock as this device knows it: milliseconds since 1970. */
  serverNow(): number {
    return this.#clock.serverNow()
  }

  onStatus(observer: () => void): Unsubscribe {
    return this.#statusObservers.add(observer)
  }

  /** Connects and stays connected. Resolves when storage is read and the first attempt is under way. */
  async start(): Promise<void> {
    if (this.#started) return
    this.#started = true
    await Promise.all([this.#outbox.load(), this.#loadDevice()])
    if (this.#started) this.#connection.start()
  }

  /** Ends the connection; what is unsent is kept in storage. */
  async close(): Promise<void> {
    this.#started = false
    this.#connection.stop()
    await this.#outbox.flush()
    this.#conditions.check()
  }

  /** Tell the client that the network is back or the device woke up: it does not wait any longer. */
  wake(): void {
    this.#connection.wake()
  }

  /** Resolves when the channel list has been here once, or when the client stopped or was closed. */
  ready(): Promise<void> {
    return this.#conditions.until(() => this.#ready || this.#isOver())
  }

  /** Resolves when no mutation is under way any more, or when the client stopped or was closed. */
  idle(): Promise<void> {
    return this.#conditions.until(() => this.#outbox.unsettled === 0 || this.#isOver())
  }

  /** The same view each time; also of a channel that the user is not in. */
  channel(channel: string): ChannelView {
    const known = this.#views.get(channel)
    if (known !== undefined) return known
    const view = new ChannelView(channel, {
      environment: this.#environment,
      settings: this.#settings,
      outbox: this.#outbox,
      reads: this.#reads,
      user: () => this.user,
      request: (op, fields, done) => this.#connection.request(op, fields, done),
      suspect: (of, position, missing) => this.#sync.suspect(of, position, missing),
      resync: () => this.#sync.now(),
      listChanged: () => {
        this.channels.changed()
        this.#conditions.check()
      }
    })
    this.#views.set(channel, view)
    return view
  }

  create(
    channel: string,
    values: { readonly name: string; readonly topic?: string; readonly members?: ReadonlyArray<string> }
  ): Sent {
    const { name, topic, members = [] } = values
    const fields = { name, members: [...members], ...(topic === undefined ? {} : { topic }) }
    return this.#entered(channel, this.#outbox.add(channel, { op: "create", fields }))
  }

  join(channel: string): Sent {
    return this.#entered(channel, this.#outbox.add(channel, { op: "join", fields: {} }))
  }

  /** Done when the channel is here, which is a little after the ack; not later than `gapWaitMs` and a sync take. */
  #entered(channel: string, { cid, done }: Sent): Sent {
    const view = this.channel(channel)
    const entered = done.then(async (settled) => {
      let late = false
      const cancel = this.#environment.after(this.#settings.requestTimeoutMs, () => {
        late = true
        this.#conditions.check()
      })
      await this.#conditions.until(() => late || view.replica.status === "member" || this.#isOver())
      cancel()
      return settled
    })
    entered.catch(() => {})
    return { cid, done: entered }
  }

  leave(channel: string): Sent {
    return this.#outbox.add(channel, { op: "leave", fields: {} })
  }

  addMembers(channel: string, members: ReadonlyArray<string>): Sent {
    return this.#outbox.add(channel, { op: "add_members", fields: { members: [...members] } })
  }

  removeMembers(channel: string, members: ReadonlyArray<string>): Sent {
    return this.#outbox.add(channel, { op: "remove_members", fields: { members: [...members] } })
  }

  /** A page of history beside the view: to jump, to search, to export. Rejects with RequestFailed. */
  history(channel: string, page: Omit<OpFields<"history">, "channel">): Promise<AnswerOf<"history">> {
    return new Promise((resolve, reject) =>
      this.#connection.request("history", { channel, ...page }, (result) =>
        result._tag === "Ok" ? resolve(result.value) : reject(failureOf(result))
      )
    )
  }

  /** Whether a person can see the application; the server pushes to other devices accordingly. */
  setForeground(foreground: boolean): void {
    if (this.#background === !foreground) return
    this.#background = !foreground
    this.#connection.request(foreground ? "foreground" : "background", {}, () => {})
  }

  // --- the connection ----------------------------------------------------------------------------------------

  #online(hello: AnswerOf<"hello">): void {
    if (this.#user !== "" && this.#user !== hello.user) this.#forgetUser()
    this.#user = hello.user
    this.#outbox.belongsTo(hello.user)
    this.#toWatch = true
    if (this.#background) this.#connection.request("background", {}, () => {})
    this.#sync.open()
    this.presence.open()
  }

  #offline(): void {
    this.#sync.close()
    this.#outbox.close()
    this.#reads.close()
    this.presence.close()
    this.#session.disconnected()
    for (const view of this.#views.values()) view.disconnected()
  }

  /** The token names somebody else now: nothing of the one before may show. */
  #forgetUser(): void {
    for (const view of this.#views.values()) view.leave()
    this.#session.restart()
  }

  /** After the first sync of a connection, or the first that failed: what waited for it goes. */
  #settled(): void {
    this.#outbox.open()
    this.#reads.open()
    if (!this.#toWatch) return
    this.#toWatch = false
    for (const view of this.#views.values()) if (view.watched && view.replica.status === "member") view.sendWatch()
  }

  #pushed(push: PlainPush): void {
    switch (push.ev) {
      case "event":
        return this.channel(push.channel).pushed(push.from, push.to, push.event)
      case "covered":
        return this.channel(push.channel).pushed(push.from, push.to, undefined)
      case "channel":
        return this.channel(push.sync.head.channel).sync(push.sync)
      case "cursor":
        // Also of a channel that is still to come: what brings it may have been written before this.
        return this.channel(push.channel).readState(push)
      case "typing":
        return this.#views.get(push.channel)?.typingSign(push.user, push.on, push.ttl_ms)
      case "receipt":
        return this.#views.get(push.channel)?.receipt(push)
      case "presence":
        return this.presence.pushed(push)
      case "personal":
        this.#session.event(push.event.user_seq, push.event)
        if (this.#session.hole) this.#sync.suspect("session", this.#session.position.seq, () => this.#session.hole)
        return
      default:
        // A push of a newer server.
        return
    }
  }

  #personal(event: PlainUserEvent): void {
    switch (event.kind) {
      case "added":
        return this.#addedTo(event.channel, event.seq)
      case "removed":
        return this.#views.get(event.channel)?.removed(event.seq)
      case "mentioned":
        return this.#views.get(event.channel)?.mentioned(event.seq)
      case "marked_unread":
        return this.#views.get(event.channel)?.cursorMoved(event.user_seq, event.seq)
      default:
        // The server itself closes connections whose token is void.
        return
    }
  }

  #addedTo(channel: string, seq: number): void {
    const view = this.channel(channel)
    if (view.replica.status === "member") return
    // Out of a sync's past: he may have been removed since, so only an event from now on makes one wait for the head.
    if (seq >= view.replica.known) view.expect()
  }

  // --- what the parts ask for --------------------------------------------------------------------------------

  #outboxHost(): ConstructorParameters<typeof Outbox>[0] {
    return {
      transmit: ({ channel, cid, mutation }, done) => {
        // As of now, not of when it was written: meanwhile the cursor may have been set back (†13).
        const seen = mutation.op === "send" ? (this.#views.get(channel)?.replica.unread.seen ?? 0) : 0
        const fields = { channel, cid, ...mutation.fields, ...(seen > 0 ? { seen } : {}) }
        // Op and fields of a mutation belong together by its type, which is lost when both are spread.
        this.#connection.request(mutation.op, fields as OpFields<typeof mutation.op>, done)
      },
      acknowledged: (entry, answer) => {
        if ("user_seq" in answer) this.#session.event(answer.user_seq, undefined)
        return this.channel(entry.channel).acknowledged(entry, answer)
      },
      changed: (channel) => {
        this.#views.get(channel)?.changed()
        this.#conditions.check()
      },
      idAhead: (serverTime) => {
        if (serverTime !== undefined) this.#clock.correct(serverTime)
        this.#ids.restart()
      },
      nextId: () => this.#ids.next(),
      tokenRefused: () => this.#connection.tokenRefused(),
      problem: (what, error) => callSafely(() => this.#onProblem(what, error))
    }
  }

  #readsHost(): ConstructorParameters<typeof Reads>[0] {
    return {
      report: (op, channel, seq, done) =>
        this.#connection.request(op, { channel, seq }, (result) => {
          if (result._tag !== "Ok") return done(result)
          done({ _tag: "Ok", value: "cursor" in result.value ? result.value : undefined })
        }),
      confirmed: (channel, state) => this.#views.get(channel)?.readState(state),
      unknown: () => this.#sync.now()
    }
  }

  #syncHost(): ConstructorParameters<typeof Synchronizer>[0] {
    return {
      request: (op, fields, done) => this.#connection.request(op, fields, done),
      held: () =>
        [...this.#views.values()]
          .toSorted((a, b) => (b.replica.last?.at ?? 0) - (a.replica.last?.at ?? 0))
          .flatMap(({ channel, replica: { position } }) =>
            position === undefined ? [] : [[channel, position.generation, position.seq] as const]
          ),
      session: () => this.#session.position,
      reloaded: () => {
        for (const view of this.#views.values()) view.empty()
      },
      page: ({ channels, lost }, askedAt) => {
        for (const sync of channels) this.channel(sync.head.channel).sync(sync, askedAt)
        for (const { channel, seq } of lost) this.#views.get(channel)?.lost(seq, askedAt)
      },
      finished: (outcome) => this.#finished(outcome),
      failed: (error) => {
        if (error?.code === "unauthenticated" || error?.code === "token_expired") return this.#connection.tokenRefused()
        this.#settled()
      }
    }
  }

  #finished({ session, personal, listed, startedAt }: SyncOutcome): void {
    for (const view of listed === null ? [] : this.#views.values()) {
      if (view.replica.status === "member" && !listed?.has(view.channel) && view.memberSince < startedAt) view.leave()
    }
    this.#session.synced(session, personal)
    this.#ready = true
    this.channels.changed()
    this.#settled()
    this.#conditions.check()
  }

  // --- small matters -----------------------------------------------------------------------------------------

  async #loadDevice(): Promise<void> {
    if (this.#device !== undefined) return
    try {
      this.#device = await this.#storage.read("device")
      if (this.#device !== undefined) return
      this.#device = `d-${this.#ids.next()}`
      await this.#storage.write("device", this.#device)
    } catch (error) {
      this.#device ??= `d-${this.#ids.next()}`
      this.#onProblem("The device's name could not be kept in storage.", error)
    }
  }

  #isOver(): boolean {
    return this.status.state === "stopped" || (!this.#started && this.status.state === "idle")
  }
}
