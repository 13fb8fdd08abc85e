/** A mini server, a client, and the line between them, on virtual time. */
import { ChatClient, type ChatClientOptions } from "../src/ChatClient.ts"
import type { Environment } from "../src/Environment.ts"
import { MemorySocket } from "./MemorySocket.ts"
import { MiniServer } from "./MiniServer.ts"
import { seededRandom, startOfTime, virtualEnvironment, VirtualTime } from "./VirtualTime.ts"

export class World {
  readonly time = new VirtualTime()
  readonly server = new MiniServer(() => startOfTime + this.time.now)
  readonly sockets: Array<MemorySocket> = []
  readonly problems: Array<string> = []
  readonly #random: () => number
  /** No new connection gets through. */
  down = false

  constructor(seed = 1) {
    this.#random = seededRandom(seed)
  }

  client(options: Partial<ChatClientOptions> & { readonly clockErrorMs?: number } = {}): ChatClient {
    const { clockErrorMs = 0, ...rest } = options
    return new ChatClient({
      url: "http://server",
      token: "ana",
      device: "laptop",
      environment: this.environment(clockErrorMs),
      onProblem: (what) => void this.problems.push(what),
      ...rest
    })
  }

  environment(clockErrorMs = 0): Environment {
    return virtualEnvironment(this.time, () => this.open(), { seed: Math.floor(this.#random() * 1e9), clockErrorMs })
  }

  open(): MemorySocket {
    const socket = new MemorySocket(
      this.time,
      () => 1 + Math.floor(this.#random() * 20),
      (line) => this.server.accept(line.asServer)
    )
    this.sockets.push(socket)
    if (this.down) this.time.after(1, () => socket.cut())
    return socket
  }

  get socket(): MemorySocket {
    return this.sockets.at(-1)!
  }

  /** Started, connected, first sync done. */
  async online(client: ChatClient): Promise<ChatClient> {
    await client.start()
    let ready = false
    void client.ready().then(() => {
      ready = true
    })
    await this.time.until("the client is ready", () => ready && client.status.state === "online")
    return client
  }
}
