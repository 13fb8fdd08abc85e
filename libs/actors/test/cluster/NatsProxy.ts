/**
 * A TCP proxy before a NATS server, to cut a process off from it: `cut` closes what is open and refuses what comes,
 * `freeze` keeps connections open and passes nothing on, as a paused process or a dropped route does.
 */
import { createServer, connect, type Socket } from "node:net"

export interface NatsProxy {
  readonly address: string
  cut(): void
  freeze(): void
  /** All is as before; what was frozen flows again. */
  heal(): void
  close(): Promise<void>
}

export const natsProxy = async (server: string): Promise<NatsProxy> => {
  const [host, port] = server.split(":")
  const pairs = new Set<readonly [Socket, Socket]>()
  let mode: "open" | "cut" | "frozen" = "open"
  const listener = createServer((client) => {
    if (mode === "cut") return void client.destroy()
    const upstream = connect(Number(port), host)
    const pair = [client, upstream] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [upstream, client] as const]) {
      from.on("data", (bytes) => to.write(bytes))
      from.on("error", () => {})
      from.on("close", () => {
        to.destroy()
        pairs.delete(pair)
      })
      if (mode === "frozen") from.pause()
    }
  })
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve))
  const bound = listener.address()
  if (bound === null || typeof bound === "string") throw new Error("no port")
  const destroyAll = () => {
    for (const [client, upstream] of pairs) {
      client.destroy()
      upstream.destroy()
    }
  }
  return {
    address: `127.0.0.1:${bound.port}`,
    cut() {
      mode = "cut"
      destroyAll()
    },
    freeze() {
      mode = "frozen"
      for (const pair of pairs) for (const socket of pair) socket.pause()
    },
    heal() {
      mode = "open"
      for (const pair of pairs) for (const socket of pair) socket.resume()
    },
    close() {
      destroyAll()
      return new Promise((resolve) => listener.close(() => resolve()))
    }
  }
}
