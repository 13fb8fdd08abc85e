/**
 * What the benches compare with: a server on `ws` that parses frames, acknowledges sends and delivers them to the other
 * members, and does nothing else: no log, no checks, no limits. What it sends is byte for byte as long as Parley's.
 * `plain` uses `ws.send` for each frame; `coalesced` gathers the frames of each socket and writes them once a tick.
 *
 * node BaselineServer.ts plain|coalesced → prints its port.
 */
import { createServer } from "node:http"
import type { Socket } from "node:net"
import { WebSocketServer, type WebSocket } from "ws"

const mode = process.argv[2]

interface Member {
  readonly socket: WebSocket
  readonly raw: Socket
  user: string
  out: string
}

const channels = new Map<string, { seq: number; readonly members: Array<Member> }>()
const dirty: Array<Member> = []

const frame = (text: string): string =>
  text.length < 126
    ? `\x81${String.fromCharCode(text.length)}${text}`
    : `\x81\x7e${String.fromCharCode(text.length >> 8, text.length & 255)}${text}`

const flush = () => {
  for (const member of dirty) {
    member.raw.write(member.out, "latin1")
    member.out = ""
  }
  dirty.length = 0
}

const put = (member: Member, framed: string) => {
  if (member.out === "") {
    if (dirty.length === 0) setImmediate(flush)
    dirty.push(member)
  }
  member.out += framed
}

/** The benches' own frames: nobody else connects here, and nothing is checked. */
interface BenchFrame {
  readonly id: number
  readonly op: string
  readonly user: string
  readonly cid: string
  readonly channel: string
  readonly text: string
  readonly channels: ReadonlyArray<string>
}

/** ASCII, as Parley's frames are. */
const json = (text: string): string =>
  JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

const join = (member: Member, { channels: ids, user }: BenchFrame) => {
  member.user = user
  for (const id of ids) {
    const channel = channels.get(id) ?? { seq: 0, members: [] }
    channels.set(id, channel)
    channel.members.push(member)
  }
}

const deliver = (member: Member, { channel: id, cid, id: re, text }: BenchFrame) => {
  const channel = channels.get(id)
  if (channel === undefined) return
  const seq = ++channel.seq
  const at = Date.now()
  const event = `{"seq":${seq},"at":${at},"by":"${member.user}","kind":"message","cid":"${cid}","n":${seq},"text":${json(text)}}`
  const push = `{"ev":"event","channel":"${id}","from":${seq - 1},"to":${seq},"event":${event}}`
  const ack = `{"re":${re},"ok":{"channel":"${id}","seq":${seq},"at":${at},"n":${seq}}}`
  if (mode === "plain") {
    for (const other of channel.members) if (other !== member) other.socket.send(push)
    member.socket.send(ack)
  } else {
    const framed = frame(push)
    for (const other of channel.members) if (other !== member) put(other, framed)
    put(member, frame(ack))
  }
}

const http = createServer()
const server = new WebSocketServer({
  server: http,
  perMessageDeflate: false,
  handleProtocols: (offered) => [...offered][0] ?? false
})
server.on("connection", (socket, request) => {
  const member: Member = { socket, raw: request.socket, user: "", out: "" }
  socket.on("message", (data: Buffer) => {
    // As said above: the benches' own frames.
    const op = JSON.parse(data.toString()) as BenchFrame
    if (op.op === "send") return deliver(member, op)
    if (op.op === "hello") join(member, op)
    socket.send(`{"re":${op.id},"ok":{}}`)
  })
})
if (typeof globalThis.gc === "function") {
  process.on("SIGUSR2", () => globalThis.gc?.({ type: "major", flavor: "last-resort", execution: "sync" }))
}
http.listen(0, "127.0.0.1", 4_096, () => {
  const address = http.address()
  process.stdout.write(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}\n`)
})
