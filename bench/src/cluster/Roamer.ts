/**
 * A connection that outlives its node: when it is lost it is made again at another node, and what was not answered is sent
 * again under the same client ids, as a client does (EXACTLY-ONCE-EFFECT). A refusal that may be tried again is.
 */
import { pause } from "../Report.ts"
import { type Client, clientId, connectClient } from "../load/Clients.ts"

interface Waiting {
  readonly fields: string
  readonly acked: (frame: string) => void
}

const reconnectMsMax = 200
const retryMs = 50

export class Roamer {
  readonly user: string
  readonly #ports: () => ReadonlyArray<number>
  readonly #waiting = new Map<string, Waiting>()
  #client: Client | undefined
  #closed = false
  /** Answers that said "try again", and connections that were lost. */
  refused = 0
  lost = 0

  private constructor(user: string, ports: () => ReadonlyArray<number>) {
    this.user = user
    this.#ports = ports
  }

  /** `ports`: of the nodes that may be connected to, the wanted one first. */
  static async open(user: string, ports: () => ReadonlyArray<number>): Promise<Roamer> {
    const roamer = new Roamer(user, ports)
    await roamer.#connect()
    return roamer
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error(`${this.user} is between two connections`)
    return this.#client
  }

  /** Calls back once it is acknowledged, whatever it takes. */
  send(channel: string, text: string, acked: (frame: string) => void): void {
    const cid = clientId()
    this.#waiting.set(cid, { fields: `"cid":"${cid}","channel":"${channel}","text":"${text}"`, acked })
    this.#ask(cid)
  }

  close(): void {
    this.#closed = true
    this.#client?.close()
  }

  get waiting(): number {
    return this.#waiting.size
  }

  async #connect(): Promise<void> {
    for (let attempt = 0; !this.#closed; attempt++) {
      const ports = this.#ports()
      const port = ports[attempt % ports.length]
      try {
        if (port === undefined) throw new Error("no node runs")
        const client = await connectClient({ port, baseline: false }, this.user, [])
        client.onClosed = () => {
          this.lost++
          this.#client = undefined
          void this.#connect()
        }
        this.#client = client
        for (const cid of this.#waiting.keys()) this.#ask(cid)
        return
      } catch {
        await pause(Math.random() * reconnectMsMax)
      }
    }
  }

  #ask(cid: string): void {
    const waiting = this.#waiting.get(cid)
    if (waiting === undefined || this.#client === undefined) return
    this.#client.ask("send", waiting.fields, (frame) => {
      // Asked at two nodes, answered by both.
      if (!this.#waiting.has(cid)) return
      if (frame.includes('"ok":')) {
        this.#waiting.delete(cid)
        waiting.acked(frame)
      } else if (frame.includes('"retryable":true')) {
        this.refused++
        setTimeout(() => this.#ask(cid), retryMs)
      } else throw new Error(`a send of ${this.user} was answered ${frame}`)
    })
  }
}
