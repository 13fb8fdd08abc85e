/**
 * Many connections, by a process of their own: `Crowd.ts COUNT SECRET URL…` opens them over the given nodes, each a user
 * that has synced, and moves each to another node when it is closed. Prints `{open, moves, failed}` a line a second, and
 * ends with its parent. Nothing is asked of a connection but that it is there.
 */
import { setTimeout as delay } from "node:timers/promises"
import { socketPath, subprotocol } from "@parley/protocol/Frame"
import { WebSocket } from "ws"
import { signTokensWith, tokenFor } from "../wire/Tokens.ts"

/** Handshakes under way at a time: what one address may do, and what the machine stands. */
const openingMax = 64
const devicesAUser = 10
const retryMsMax = 1_000
const reportMs = 1_000
const pingMs = 15_000

const [count = "0", secret = "", ...urls] = process.argv.slice(2)
signTokensWith(secret)
let opening = 0
let open = 0
let moves = 0
let failed = 0

const mayOpen = (): boolean => opening < openingMax

const turn = async (): Promise<void> => {
  while (!mayOpen()) await delay(5)
  opening++
}

/** Until it has synced; then until it is closed. */
const once = async (user: string, device: string, url: string): Promise<void> => {
  await turn()
  let waiting = true
  const settled = () => {
    if (waiting) opening--
    waiting = false
  }
  const token = await tokenFor(url, user)
  const socket = new WebSocket(url.replace(/^http/, "ws") + socketPath, [subprotocol], { perMessageDeflate: false })
  const say = (frame: object) => socket.send(JSON.stringify(frame))
  let synced = false
  const timer = setInterval(() => socket.readyState === WebSocket.OPEN && say({ id: 9, op: "ping" }), pingMs)
  await new Promise<void>((resolve) => {
    socket.on("open", () => say({ id: 1, op: "hello", token, device }))
    socket.on("message", (data) => {
      const text = String(data)
      if (text.startsWith('{"re":1,"ok"')) say({ id: 2, op: "sync", channels: [], session: { generation: 0, seq: 0 } })
      else if (text.startsWith('{"re":2,"ok"') && !synced) {
        synced = true
        open++
        settled()
      } else if (text.startsWith('{"re":1,') || (text.startsWith('{"re":2,') && !synced)) socket.terminate()
    })
    socket.on("error", () => undefined)
    socket.on("close", () => resolve())
  })
  clearInterval(timer)
  settled()
  if (synced) open--
  else failed++
}

const live = async (index: number): Promise<void> => {
  const user = `crowd-${Math.floor(index / devicesAUser)}`
  for (let at = index; ; at++) {
    await once(user, `d${index % devicesAUser}`, urls[at % urls.length] ?? "")
    moves++
    await delay(Math.random() * retryMsMax)
  }
}

const parent = process.ppid
setInterval(() => {
  if (process.ppid !== parent) process.exit(1)
  process.stdout.write(`${JSON.stringify({ open, moves, failed })}\n`)
}, reportMs)
for (let index = 0; index < Number(count); index++) void live(index)
