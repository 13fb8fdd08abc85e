/** Users of a bench: tokens, client ids, connections that have said hello. */
import { createHmac, randomBytes } from "node:crypto"
import { benchSecret, stoppedPorts } from "../Servers.ts"
import { LoadSocket } from "./LoadSocket.ts"

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
const head = part({ alg: "HS256", typ: "JWT" })

/** One a user, as a client keeps its own until it ends. */
const tokens = new Map<string, string>()

export const mintToken = (user: string): string => {
  const known = tokens.get(user) ?? mint(user)
  tokens.set(user, known)
  return known
}

const mint = (user: string): string => {
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
    if (stoppedPorts.has(this.socket.port)) return
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
  }

  close(): void {
    this.socket.close()
  }

  /** Sends an op whose fields are given as JSON without braces; calls back with the answer's frame. */
  ask(op: string, fields: string, answer: (frame: string) => void): void {
    const id = this.#next++
    this.#waiting.set(id, answer)
    this.socket.send(`{"id":${id},"op":"${op}"${fields === "" ? "" : `,${fields}`}}`)
  }

  request(op: string, fields: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.ask(op, fields, (frame) => {
        if (/^{"re":\d+,"error"/.test(frame)) reject(new Error(`${op}: ${frame}`))
        else resolve(frame)
      })
    })
  }
}

export interface Target {
  readonly port: number
  /** The baseline takes its channels with hello. */
  readonly baseline: boolean
}

export const connectClient = (
  target: Target,
  user: string,
  channels: ReadonlyArray<string>,
  localAddress?: string
): Promise<Client> =>
  new Promise((resolve, reject) => {
    const socket = new LoadSocket({
      port: target.port,
      path: "/v1/socket",
      subprotocol: "parley.v1.json",
      ...(localAddress === undefined ? {} : { localAddress })
    })
    const client = new Client(user, socket)
    socket.onClose = (why) => reject(new Error(`${user} was not let in: ${why}`))
    socket.onOpen = () => {
      const fields = target.baseline
        ? `"user":"${user}","channels":${JSON.stringify(channels)}`
        : `"token":"${mintToken(user)}","device":"bench"`
      client.request("hello", fields).then(() => {
        socket.onClose = (why) => client.onClosed(why)
        resolve(client)
      }, reject)
    }
  })

/** Runs `work` for each item, so many at a time. */
export const inParallel = async <A, B>(
  items: ReadonlyArray<A>,
  width: number,
  work: (item: A, index: number) => Promise<B>
): Promise<Array<B>> => {
  const out: Array<B> = Array.from({ length: items.length })
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      const item = items[index]
      if (item !== undefined) out[index] = await work(item, index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker))
  return out
}

/** `count` clients whose users are `prefix` and a number, from as many addresses as they need. */
export const connectMany = (
  target: Target,
  count: number,
  prefix: string,
  channelsOf: (index: number) => ReadonlyArray<string> = () => []
): Promise<Array<Client>> =>
  inParallel(
    Array.from({ length: count }, (_, index) => index),
    64,
    (index) =>
      connectClient(
        target,
        `${prefix}${index}`,
        channelsOf(index),
        `127.0.0.${2 + Math.floor(index / connectionsPerAddress)}`
      )
  )

/** So few that no address runs out of ports. */
const connectionsPerAddress = 5_000
