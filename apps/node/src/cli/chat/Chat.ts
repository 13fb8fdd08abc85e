/**
 * `parley chat`: a client in the terminal for a server in development mode. A full screen where there is a terminal,
 * plain lines where there is none. Everybody meets in `public:lobby`.
 */
import { randomBytes } from "node:crypto"
import type { Readable, Writable } from "node:stream"
import { ReadStream, WriteStream } from "node:tty"
import { ChatClient } from "@parley/client/ChatClient"
import { enter, meet } from "./ChatActions.ts"
import { harmlessLine } from "./CellText.ts"
import { channelIdOf } from "./Commands.ts"
import { devToken } from "./DevToken.ts"
import { FullScreen } from "./FullScreen.ts"
import { LineMode } from "./LineMode.ts"

export interface ChatOptions {
  /** The user to be. */
  readonly as: string
  readonly url?: string
  /** Where to begin; default the lobby. */
  readonly channel?: string
  readonly input?: Readable
  readonly output?: Writable
  readonly errors?: Writable
}

export const lobby = "public:lobby"
export const urlDefault = "http://127.0.0.1:8080"

/** Resolves to the exit code: 0 fine, 1 it did not work out, 2 wrong options. */
export const runChat = async (options: ChatOptions): Promise<number> => {
  const { as, errors = process.stderr, input = process.stdin, output = process.stdout, url = urlDefault } = options
  const say = (text: string) => void errors.write(`parley chat: ${harmlessLine(text)}\n`)
  // Whoever is not there to read it needs no error about it.
  errors.on("error", () => {})
  const wanted = options.channel === undefined ? lobby : channelIdOf(options.channel, "public")
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(as))
    return wrong(say, "name yourself: --as NAME (letters, digits, _ and -)")
  if (wanted === undefined) return wrong(say, `${options.channel} is no channel`)
  if (!URL.canParse(url)) return wrong(say, `${url} is no address`)
  try {
    // Before the screen changes: without a server there is nothing to show.
    await devToken(url, as)
  } catch (error) {
    say(error instanceof Error ? error.message : String(error))
    return 1
  }
  const client = new ChatClient({
    url,
    token: () => devToken(url, as),
    // Two terminals of one user are two devices.
    device: `terminal-${randomBytes(4).toString("hex")}`,
    client: "parley-chat"
  })
  await client.start()
  await client.ready()
  if (client.status.state === "stopped") {
    say(client.status.reason)
    return 1
  }
  const refused = await meet(client, lobby, "Lobby")
  if (refused !== undefined) say(`the lobby is closed: ${refused.message}`)
  const code = await talk(client, wanted, input, output)
  await client.close()
  return code
}

const talk = async (client: ChatClient, wanted: string, input: Readable, output: Writable): Promise<number> => {
  if (input instanceof ReadStream && output instanceof WriteStream) return fullScreen(client, wanted, input, output)
  const lines = new LineMode(client, lobby, output)
  if (wanted !== lobby) await enter(lines, wanted)
  return lines.run(input)
}

const fullScreen = async (
  client: ChatClient,
  wanted: string,
  input: ReadStream,
  output: WriteStream
): Promise<number> => {
  let end = (_code: number): void => {}
  const ended = new Promise<number>((resolve) => {
    end = resolve
  })
  // By their usual exit codes, with the terminal given back first.
  const hangup = () => end(129)
  const screen = new FullScreen(client, lobby, { input, output }, { ended: () => end(0), gone: hangup })
  const interrupt = () => end(130)
  const terminate = () => end(143)
  process.on("SIGHUP", hangup).on("SIGINT", interrupt).on("SIGTERM", terminate)
  try {
    screen.start()
    if (wanted !== lobby) await enter(screen, wanted)
    return await ended
  } finally {
    screen.stop()
    process.off("SIGHUP", hangup).off("SIGINT", interrupt).off("SIGTERM", terminate)
  }
}

const wrong = (say: (text: string) => void, text: string): number => {
  say(text)
  return 2
}
