/**
 * In front of a server: passes every frame on, but for the answer to the first sync of a connection, which it holds back
 * until a push `channel`, or of another kind, has passed. So that answer is older than what came before it, as it may be in any network of owners.
 */
import { once } from "node:events"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { socketPath, subprotocol } from "@parley/protocol/Frame"
import { WebSocket, WebSocketServer } from "ws"

export class LateSync implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets: WebSocketServer
  /** Answers that are held back now. */
  held = 0

  private constructor(target: string, behind: string) {
    this.#server = createServer((request, response) => {
      // The token that a device asks for, and nothing else.
      request.setEncoding("utf8").on("data", (body: string) => {
        const init = { method: "POST", headers: { "content-type": "application/json" }, body }
        void fetch(target + request.url, init).then(async (answer) => {
          response.writeHead(answer.status)
          response.end(await answer.text())
        })
      })
    })
    this.#sockets = new WebSocketServer({ server: this.#server, path: socketPath })
    this.#sockets.on("connection", (client) => this.#relay(client, target, `{"ev":"${behind}"`))
  }

  static async start(target: string, behind = "channel"): Promise<LateSync> {
    const late = new LateSync(target, behind)
    late.#server.listen(0, "127.0.0.1")
    await once(late.#server, "listening")
    return late
  }

  get url(): string {
    // `address` of a server that listens on a port.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate()
    this.#sockets.close()
    this.#server.close()
    await once(this.#server, "close")
  }

  #relay(client: WebSocket, target: string, behind: string): void {
    const server = new WebSocket(target.replace(/^http/, "ws") + socketPath, [subprotocol])
    const opened = once(server, "open")
    let answer: string | undefined
    let passed = false
    client.on("message", (data) => void opened.then(() => server.send(String(data))))
    server.on("message", (data) => {
      const text = String(data)
      if (!passed && text.includes('"reload":') && text.startsWith('{"re":')) {
        answer = text
        this.held++
        return
      }
      client.send(text)
      if (answer === undefined || !text.startsWith(behind)) return
      passed = true
      this.held--
      client.send(answer)
      answer = undefined
    })
    client.on("close", () => server.terminate())
    server.on("close", () => client.terminate())
    server.on("error", () => client.terminate())
  }
}
