/**
 * Ben's edge is cut off from NATS, and ana, on another node, removes him meanwhile and goes on talking. When the cable is
 * whole again he learns that he is out, and is shown nothing beyond: live, by sync, or by history (REVOKED-IS-OUT).
 */
import { setTimeout as delay } from "node:timers/promises"
import { tokenFor } from "../wire/Tokens.ts"
import { newClientId } from "../wire/ClientIds.ts"
import { RawClient, type RawFrame, until } from "../wire/RawClient.ts"
import type { Scene } from "./FaultRun.ts"

const natsServers = ["nats-1", "nats-2", "nats-3"]
const secretTexts = 20
/** Below what a connection may be silent. */
const aloneMs = 10_000
const healedMsMax = 30_000
const triesMax = 200

export const removedWhileCutOff = async (scene: Scene): Promise<void> => {
  const { cluster, network, random } = scene
  if (network === undefined) throw new Error("this fault needs network namespaces")
  const [at, other] = random.next() < 0.5 ? [0, 1] : [1, 2]
  const tag = random.between(0, 1 << 30).toString(36)
  const [ana, ben, channel] = [`ana-${tag}`, `ben-${tag}`, `group:out-${tag}`]
  const client = async (index: number, user: string, device: string) => {
    const { url } = cluster.place(index)
    return (await RawClient.open(url)).join(await tokenFor(url, user), device)
  }
  const owner = await client(other, ana, "desk")
  const member = await client(at, ben, "desk")
  try {
    await sure(owner, "create", { channel, name: "", members: [ben] })
    await member.pushed("the channel", (frame) => frame["ev"] === "channel")
    await sure(owner, "send", { channel, text: "still for ben" })
    await member.pushed("what he may see", (frame) => frame["event"]?.text === "still for ben")
    const { name } = cluster.place(at)
    network.cut([name], natsServers)
    await delay(aloneMs / 2)
    const { seq } = await sure(owner, "remove_members", { channel, members: [ben] })
    for (let index = 0; index < secretTexts; index++) await sure(owner, "send", { channel, text: `secret ${index}` })
    // What he asks his edge for meanwhile comes from nowhere, or not at all.
    member.post("history", { channel, limit: 50 })
    await delay(aloneMs / 2)
    network.heal()
    scene.mark()
    const isOut = (frame: RawFrame) =>
      (frame["ev"] === "personal" && frame["event"]?.kind === "removed" && frame["event"]?.channel === channel) ||
      (frame["ev"] === "event" && frame["event"]?.kind === "removed" && frame["event"]?.members.includes(ben))
    await until("he hears that he is out", () => member.closed !== undefined || member.frames.some(isOut), healedMsMax)
    const again = member.closed === undefined ? member : await client(at, ben, "desk")
    await again.request("history", { channel, limit: 50 })
    await again.request("sync", { channels: [[channel, 0, 0]], session: { generation: 0, seq: 0 } })
    const late = await client(other, ben, "late")
    await late.request("history", { channel, limit: 50 })
    const shown = [...member.frames, ...again.frames, ...late.frames].filter((frame) =>
      JSON.stringify(frame).includes("secret ")
    )
    if (shown.length > 0)
      scene.broken(`${shown.length} frames showed ben what was said after ${seq}, where he was removed`)
    scene.note(`${secretTexts} messages after the removal, ${shown.length} shown to who was out`)
    for (const one of [again, late]) one.socket.terminate()
  } finally {
    network.heal()
    owner.socket.terminate()
    member.socket.terminate()
  }
}

/** Until it is acknowledged; shards move meanwhile. */
const sure = async (client: RawClient, op: string, fields: object): Promise<RawFrame> => {
  const cid = newClientId()
  for (let tries = 0; tries < triesMax; tries++) {
    const answer = await client.request(op, { ...fields, cid }).catch((): RawFrame => ({}))
    if (answer["ok"] !== undefined) return answer["ok"]
    if (answer["error"]?.retryable === false) throw new Error(`${op}: ${JSON.stringify(answer)}`)
    await delay(100)
  }
  throw new Error(`${op}: not acknowledged in ${triesMax} tries`)
}
