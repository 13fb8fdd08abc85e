/** Users of a bench: tokens, connections that have said hello, channels that exist, client ids. */
import { createHmac, randomBytes } from "node:crypto"
import { benchSecret } from "../Servers.ts"
import { LoadSocket } from "./LoadSocket.ts"

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
const head = part({ alg: "HS256", typ: "JWT" })

export const mintToken = (user: string): string => {
  const now = Math.floor(Date.now() / 1_000)
  const body = `${head}.${part({ sub: user, iat: now, exp: now + 3_600 })}`
  return `${body}.${createHmac("sha256", benchSecret).update(body).digest("base64url")}`
}

const random = randomBytes(10).toString("hex")
let count = 0
/** A UUIDv7: now, a counter, and randomness of this process. */
export const clientId = (): string => {
  const time = Date.now().toString(16).padStart(12, "0")
  const serial = (count = (count + 1) % 0x1000000).toString(16).padStart(6, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7${serial.slice(0, 3)}-8${serial.slice(3)}-${random.slice(0, 12)}`
}

export class Client {
  readonly user: string
  readonly socket: LoadSocket
  #next = 1
  readonly #waiting = new Map<number, (frame: string) => void>()
  onPush: (frame: string) => void = () => {}
  onClosed: (why: string) => void = (why) => {
    throw new Error(`${this.user} lost its connection: ${why}`)
  }

  constructor(user: string, socket: LoadSocket) {
    this.user = user
    this.socket = socket
    socket.onFrame = (frame) => {
      if (!frame.startsWith('{"re":')) return this.onPush(frame)
      const re = parseInt(frame.slice(6), 10)
      const waiting = this.#waiting.get(re)
      this.#waiting.delete(re)
      waiting?.(frame)
    }
    socket.onClose = (why) => this.onClosed(why)
  }

  /** Sends an op whose fields are given as JSON without braces; calls back with the answer's frame. */
  ask(op: string, fields: string, answer: (frame: string) => void): void {
    const id = this.#next++
    this.#waiting.set(id, answer)
    this.socket.send(`{"id":${id},"op":"${op}"${fields === "" ? "" : `,${fields}`}}`)
  }

  request(op: string, fields: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.ask(op, fields, (frame) => frame.includes('"error"') && !frame.includes('"ok"') ? reject(new Error(`${op}: ${frame}`)) : resolve(frame))
    })
  }
}

export interface Target {
  readonly port: number
  /** The baseline takes its channels with hello. */
  readonly baseline: boolean
}

export const connectClient = (target: Target, user: string, channels: ReadonlyArray<string>, localAddress?: string): Promise<Client> =>
  new Promise((resolve, reject) => {
    const socket = new LoadSocket({
      port: target.port, path: "/v1/socket", subprotocol: "parley.v1.json", ...(localAddress === undefined ? {} : { localAddress })
    })
    const client = new Client(user, socket)
    socket.onClose = reject
    socket.onOpen = () => {
      socket.onClose = (why) => client.onClosed(why)
      const fields = target.baseline
        ? `"channels":${JSON.stringify(channels)}`
        : `"token":"${mintToken(user)}","device":"bench"`
      client.request("hello", fields).then(() => resolve(client), reject)
    }
  })

/** Runs `work` for each item, so many at a time. */
export const inParallel = async <A, B>(items: ReadonlyArray<A>, width: number, work: (item: A, index: number) => Promise<B>): Promise<Array<B>> => {
  const out: Array<B> = new Array(items.length)
  let next = 0
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, async () => {
    while (next < items.length) {
      const index = next++
      const item = items[index]
      if (item !== undefined) out[index] = await work(item, index)
    }
  }))
  return out
}

/** Creates channels by one of their members each, then lets every client list and attach its channels. */
export const createChannels = async (clients: ReadonlyArray<Client>, channels: ReadonlyArray<{ readonly id: string; readonly members: ReadonlyArray<number> }>): Promise<void> => {
  await inParallel(channels, 64, async ({ id, members }) => {
    const creator = clients[members[0] ?? 0]
    const users = members.map((index) => clients[index]?.user ?? "")
    for (let at = 0; at < users.length; at += 100) {
      const some = JSON.stringify(users.slice(at, at + 100))
      if (at === 0) await creator?.request("create", `"cid":"${clientId()}","channel":"${id}","name":"bench","members":${some}`)
      else await creator?.request("add_members", `"cid":"${clientId()}","channel":"${id}","members":${some}`)
    }
  })
}

/** Syncs until each client sees `expected` channels: from then on it gets their events live. */
export const syncAll = async (clients: ReadonlyArray<Client>, expected: (index: number) => number): Promise<void> => {
  await inParallel(clients, 64, async (client, index) => {
    for (let tries = 0; tries < 400; tries++) {
      const frame = await client.request("sync", `"channels":[],"session":{"generation":0,"seq":0}`)
      if (frame.split('"head":{').length - 1 >= expected(index)) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`${client.user} never saw its channels`)
  })
}
