/**
 * The terminal client as people use it: processes of `parley chat` against a server that is killed and started again in
 * between. Each wait is for something that a person would see.
 */
import { readFile } from "node:fs/promises"
import { describe, expect, it } from "vitest"
import { ChatClient } from "@parley/client/ChatClient"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { TcpProxy } from "./proxy/TcpProxy.ts"
import { hasTerminals, LineChat, ScreenChat } from "./terminal/ChatProcess.ts"
import { until } from "./terminal/Waiting.ts"
import { developmentToken } from "./wire/Tokens.ts"

/** A server on an address that stays the same when it is killed and started again. */
class Place implements AsyncDisposable {
  readonly #folder: Folder
  readonly proxy: TcpProxy
  #server: Server

  private constructor(folder: Folder, server: Server, proxy: TcpProxy) {
    this.#folder = folder
    this.#server = server
    this.proxy = proxy
  }

  static async start(): Promise<Place> {
    const folder = await Folder.make()
    const server = await Server.start({ data: folder.in("data") })
    const place: Place = new Place(folder, server, await TcpProxy.start(() => place.#server.url))
    return place
  }

  get url(): string {
    return this.proxy.url
  }

  in(name: string): string {
    return this.#folder.in(name)
  }

  kill(): Promise<unknown> {
    return this.#server.kill()
  }

  async again(): Promise<void> {
    this.#server = await Server.start({ data: this.#folder.in("data") })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.kill()
    await this.proxy[Symbol.asyncDispose]()
    await this.#folder[Symbol.asyncDispose]()
  }
}

/** Becomes a member of the lobby, and goes: history is what was said since one is a member. */
const visit = async (place: Place, user: string): Promise<void> => {
  await using chat = new LineChat(user, place.url)
  chat.child.stdin?.end()
  expect(await chat.exited).toBe(0)
}

describe("parley chat in line mode", () => {
  it("shows history, who is online, who types, what is unread and what was read", { timeout: 60_000 }, async () => {
    await using place = await Place.start()
    await using ana = new LineChat("ana", place.url)
    await ana.sees(/connected as ana/)
    await visit(place, "ben")
    ana.say("first", "second")
    await ana.sees(/\[public:lobby] \d\d:\d\d ana: second/)
    await using ben = new LineChat("ben", place.url)
    // History.
    await ben.sees(/ana: first/)
    await ben.sees(/ana: second/)
    // Read, and online, each by the other.
    await ana.sees(/\[public:lobby] #\d+ read by ben/)
    await ben.sees(/\* online: ana/)
    ben.say("hello @ana")
    await ana.sees(/ben: hello @ana/)
    await ana.sees(/\* online: ben/)
    ana.say("/who")
    await ana.sees(/\* Online: ben/)
    // Typing: a third one, who has keys.
    const cem = new ChatClient({ url: place.url, token: () => developmentToken(place.url, "cem") })
    await cem.start()
    await cem.ready()
    await cem.join("public:lobby").done
    cem.channel("public:lobby").watch()
    cem.channel("public:lobby").typing()
    await ana.sees(/\* \[public:lobby] cem is typing/)
    await cem.close()
    // Unread: in a channel where one is not.
    ben.say("/create team ana", "/join lobby")
    await ben.sees(/now in public:lobby/)
    ana.say("/join group:team", "one for the team", "another @ben")
    await ben.sees(/\[group:team] .* another @ben/)
    ben.say("/channels")
    await ben.sees(/group:team 2 unread \(1 for you\)/)
    expect(ana.count(/\[group:team] #\d+ read by ben/)).toBe(0)
    ben.say("/join group:team")
    await ana.sees(/\[group:team] #3 read by ben/)
    const before = ben.lines.length
    ben.say("/channels")
    await ben.sees(/\* .*group:team(?! \d)/, before)
    ana.say("/edit better @ben", "/quit")
    await ben.sees(/ana edited #3: better @ben/)
    expect(await ana.exited).toBe(0)
    ben.child.stdin?.end()
    expect(await ben.exited).toBe(0)
    expect([ana.errors, ben.errors]).toEqual(["", ""])
  })

  it(
    "goes on after the server was killed and started again, with what was said meanwhile",
    { timeout: 60_000 },
    async () => {
      await using place = await Place.start()
      await using ana = new LineChat("ana", place.url)
      await using ben = new LineChat("ben", place.url)
      await ana.sees(/connected as ana/)
      await ben.sees(/connected as ben/)
      ana.say("before")
      await ben.sees(/ana: before/)
      await place.kill()
      await ana.sees(/\* reconnecting/)
      await ben.sees(/\* reconnecting/)
      ana.say("meanwhile 1", "meanwhile 2")
      ben.say("meanwhile 3")
      await place.again()
      await ben.sees(/ana: meanwhile 2/)
      await ana.sees(/ben: meanwhile 3/)
      ben.say("after")
      await ana.sees(/ben: after/)
      for (const chat of [ana, ben]) {
        for (const text of ["before", "meanwhile 1", "meanwhile 2", "meanwhile 3", "after"]) {
          await chat.sees(new RegExp(`: ${text}$`))
          expect(chat.count(new RegExp(`: ${text}$`))).toBe(1)
        }
      }
    }
  )

  it("ends quietly when nobody reads its output any more", { timeout: 60_000 }, async () => {
    await using place = await Place.start()
    await using ana = new LineChat("ana", place.url)
    await using ben = new LineChat("ben", place.url)
    await ana.sees(/connected as ana/)
    await ben.sees(/connected as ben/)
    ana.child.stdout?.destroy()
    ben.say("is anybody there?")
    expect(await ana.exited).toBe(141)
    expect(ana.errors).toBe("")
  })
})

const enter = "\r"

describe.skipIf(!hasTerminals)("parley chat on the full screen of a terminal", () => {
  const screenOf = (place: Place, user: string, untold = false) =>
    new ScreenChat(user, place.url, { errorsFile: place.in(`${user}.err`), pidFile: place.in(`${user}.pid`), untold })

  it(
    "shows history, who is online, who types, what is unread, what was read, and an outage",
    { timeout: 60_000 },
    async () => {
      await using place = await Place.start()
      await using ana = screenOf(place, "ana")
      await ana.shows(/› Lobby/)
      await visit(place, "ben")
      ana.type(`first${enter}`)
      await ana.shows(/ana │ first ✓/)
      await using ben = screenOf(place, "ben")
      await ben.shows(/ana │ first/)
      await ana.shows(/ana │ first ✓✓/)
      await ben.shows(/ben · connected · online: ana/)
      ben.type("half a word")
      await ana.shows(/ben is typing…/)
      await ben.shows(/^> half a word/m)
      ben.type(`, and the rest${enter}`)
      await ana.shows(/ben │ half a word, and the rest/)
      await ana.shows(/ana · connected · online: ben/)
      await ben.shows(/and the rest ✓✓/)
      ben.type(`/create team ana${enter}`)
      await ben.shows(/› team/)
      ben.type(`one for the team @ana${enter}`)
      await ana.shows(/ {2}team +@1│/)
      await ben.shows(/one for the team @ana ✓(?!✓)/)
      ana.type(`/join group:team${enter}`)
      await ana.shows(/ben │ one for the team @ana/)
      await ana.shows(/› team +│/)
      await ben.shows(/one for the team @ana ✓✓/)
      await place.kill()
      await ana.shows(/reconnecting in \d+ s/)
      ana.type(`meanwhile${enter}`)
      await ana.shows(/ana │ meanwhile ⋯/)
      await place.again()
      await ana.shows(/ana │ meanwhile ✓/)
      await ben.shows(/ana │ meanwhile/)
      await ana.shows(/ana │ meanwhile ✓✓/)
      ana.type("\x03")
      expect(await ana.exited).toBe(0)
      // The terminal as it was found: the other screen, a cursor, no paste marks.
      expect(ana.raw).toMatch(/\x1b\[\?2004l.*\x1b\[\?25h\x1b\[\?1049l/) // oxlint-disable-line no-control-regex -- what a terminal gets
      expect(await readFile(place.in("ana.err"), "utf8")).toBe("")
    }
  )

  it.each([
    { how: "is hung up", untold: false },
    { how: "goes away without a word", untold: true }
  ])("ends quietly when its terminal $how", { timeout: 60_000 }, async ({ untold }) => {
    await using place = await Place.start()
    await using ana = screenOf(place, "ana", untold)
    await ana.shows(/› Lobby/)
    const pid = Number(await readFile(place.in("ana.pid"), "utf8"))
    expect(isAlive(pid)).toBe(true)
    ana.child.kill("SIGKILL")
    await until("the process ends", () => !isAlive(pid))
    expect(await readFile(place.in("ana.err"), "utf8")).toBe("")
  })
})

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
