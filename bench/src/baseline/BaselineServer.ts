/**
 * What the benches compare with: a server on `ws` that parses frames, acknowledges sends and delivers them to the other
 * members, and does nothing else: no log, no checks, no limits. `plain` uses `ws.send` for each frame; `coalesced`
 * gathers the frames of each socket and writes them once a tick.
 *
 * node BaselineServer.ts plain|coalesced → prints its port.
 */
import { createServer } from "node:http"
import type { Socket } from "node:net"
import { WebSocketServer, type WebSocket } from "ws"

const mode = process.argv[2]
const channels = new Map<string, { seq: number; members: Array<Member> }>()

interface Member {
  readonly socket: WebSocket
  readonly raw: Socket
  out: string
}

const dirty: Array<Member> = []

const frame = (text: string): string =>
  text.length < 126 ? `\x81${String.fromCharCode(text.length)}${text}` : `\x81\x7e${String.fromCharCode(text.length >> 8, text.length & 255)}${text}`

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

const http = createServer()
const server = new WebSocketServer({ server: http, perMessageDeflate: false, handleProtocols: (offered) => [...offered][0] ?? false })
server.on("connection", (socket, request) => {
  const member: Member = { socket, raw: request.socket, out: "" }
  socket.on("message", (data: Buffer) => {
    // The benches' own frames.
    const op = JSON.parse(data.toString()) as { id: number; op: string; channel: string; text: string; channels: Array<string> }
    if (op.op === "hello") {
      for (const id of op.channels) {
        const channel = channels.get(id) ?? { seq: 0, members: [] }
        channels.set(id, channel)
        channel.members.push(member)
      }
      socket.send(`{"re":${op.id},"ok":{}}`)
      return
    }
    const channel = channels.get(op.channel)
    if (channel === undefined) return
    const seq = ++channel.seq
    const body = `{"ev":"event","channel":"${op.channel}","from":${seq - 1},"to":${seq},"event":{"seq":${seq},"kind":"message","text":${JSON.stringify(op.text)}}}`
    const ack = `{"re":${op.id},"ok":{"channel":"${op.channel}","seq":${seq},"n":${seq},"at":${Date.now()}}}`
    if (mode === "plain") {
      for (const other of channel.members) if (other !== member) other.socket.send(body)
      socket.send(ack)
    } else {
      const framed = frame(body)
      for (const other of channel.members) if (other !== member) put(other, framed)
      put(member, frame(ack))
    }
  })
})
http.listen(0, "127.0.0.1", 4_096, () => {
  const address = http.address()
  process.stdout.write(`http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}\n`)
})
