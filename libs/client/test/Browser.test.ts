/**
 * The bundle with nothing around it but what every browser has: no `process`, no `Buffer`, no `require`. A context that
 * lacks a name throws where the bundle reads it. `test/browser.test.ts` runs it in a real browser, where there is one.
 */
import { fileURLToPath } from "node:url"
import { createContext, runInContext } from "node:vm"
import { build } from "esbuild"
import { expect, it } from "vitest"
import type { ChatClient } from "../src/ChatClient.ts"
import type { ClientStorage, webStorage } from "../src/ClientStorage.ts"
import { MiniServer } from "./MiniServer.ts"
import { listen } from "./SocketServer.ts"

interface Bundle {
  readonly ChatClient: typeof ChatClient
  readonly webStorage: typeof webStorage
}

const bundle = async (): Promise<string> => {
  const result = await build({
    stdin: {
      contents: `export { ChatClient } from "./ChatClient.ts"; export { webStorage } from "./ClientStorage.ts"`,
      loader: "ts",
      resolveDir: fileURLToPath(new URL("../src", import.meta.url))
    },
    bundle: true,
    format: "iife",
    globalName: "parley",
    platform: "browser",
    target: "es2023",
    write: false
  })
  return result.outputFiles[0]!.text
}

it("runs with the globals of a browser alone: connects, sends, and keeps its device in localStorage", async () => {
  const server = new MiniServer(() => Date.now())
  const channel = server.make("public:lobby", ["ana", "ben"])
  server.say(channel, "ben", "before")
  const listener = await listen(server)
  const kept = new Map<string, string>()
  const localStorage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, text: string) => void kept.set(key, text),
    removeItem: (key: string) => void kept.delete(key)
  }
  const context = createContext({
    WebSocket,
    URL,
    TextEncoder,
    crypto,
    performance,
    setTimeout,
    clearTimeout,
    queueMicrotask
  })
  expect(runInContext(`[typeof process, typeof Buffer, typeof require].join()`, context)).toBe(
    "undefined,undefined,undefined"
  )
  // What the script defines.
  const { ChatClient, webStorage } = runInContext(`${await bundle()}; parley`, context) as Bundle
  const storage: ClientStorage = webStorage(localStorage)
  const client = new ChatClient({ url: listener.url, token: async () => "ana", storage })
  try {
    await client.start()
    await client.ready()
    const view = client.channel("public:lobby")
    await view.loadOlder()
    await view.send("from a bare context").done
    expect(view.snapshot().messages.map(({ by, state, text }) => [by, text, state])).toEqual([
      ["ben", "before", "sent"],
      ["ana", "from a bare context", "sent"]
    ])
    expect(kept.get("parley.device")).toMatch(/^d-/)
  } finally {
    await client.close()
    await listener.close()
  }
})
