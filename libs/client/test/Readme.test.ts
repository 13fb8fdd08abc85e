/** The program of the README, taken out of it and run against a server. */
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { expect, it } from "vitest"
import type { ChannelSnapshot } from "../src/ChannelSnapshot.ts"
import { MiniServer } from "./MiniServer.ts"
import { listen } from "./SocketServer.ts"

/** What the program takes from its surroundings, by the names it uses. */
interface Surroundings {
  readonly fetchToken: () => Promise<string>
  readonly draw: (snapshot: ChannelSnapshot) => void
  readonly localStorage: object
  /** Handed out at the end, to be closed. */
  client?: { close(): Promise<void> }
}

const program = async (url: string): Promise<string> => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8")
  const source = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ""
  expect(source).toContain('"https://chat.example"')
  const result = await build({
    stdin: {
      contents: `const { fetchToken, draw, localStorage } = globalThis.readme
        ${source.replace("https://chat.example", url)}
        globalThis.readme.client = client`,
      loader: "ts",
      resolveDir: fileURLToPath(new URL("../src", import.meta.url))
    },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2024",
    write: false
  })
  return result.outputFiles[0]!.text
}

it("is what the README says: the ten lines connect, show what was said, and send", async () => {
  const server = new MiniServer(() => Date.now())
  const channel = server.make("public:lobby", ["ana", "ben"])
  server.say(channel, "ben", "before")
  const listener = await listen(server)
  const drawn: Array<ChannelSnapshot> = []
  let sent = (): void => {}
  const done = new Promise<void>((resolve) => {
    sent = resolve
  })
  const kept = new Map<string, string>()
  const surroundings: Surroundings = {
    fetchToken: async () => "ana",
    draw: (snapshot) => {
      drawn.push(snapshot)
      if (snapshot.messages.at(-1)?.text === "hello" && snapshot.messages.at(-1)?.state === "sent") sent()
    },
    localStorage: {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, text: string) => void kept.set(key, text),
      removeItem: (key: string) => void kept.delete(key)
    }
  }
  Object.assign(globalThis, { readme: surroundings })
  try {
    await import(`data:text/javascript,${encodeURIComponent(await program(listener.url))}`)
    await done
    expect(drawn.at(-1)?.messages.map(({ by, text }) => [by, text])).toEqual([
      ["ben", "before"],
      ["ana", "hello"]
    ])
    expect(drawn.some(({ messages }) => messages.at(-1)?.state === "sending")).toBe(true)
    expect([...kept.keys()]).toContain("parley.device")
  } finally {
    await surroundings.client?.close()
    await listener.close()
    Reflect.deleteProperty(globalThis, "readme")
  }
})
