/** CPU of the bytes of a send and of a link message with an event of 200 bytes, there and back, beside JSON. */
import { ByteReader } from "@parley/actors/cluster/codec/ByteReader"
import { ByteWriter } from "@parley/actors/cluster/codec/ByteWriter"
import { readLinkMessage, writeLinkMessage } from "@parley/actors/cluster/codec/LinkCodec"
import { readRequest, writeRequest } from "@parley/actors/cluster/codec/RequestCodec"
import type { LinkMessage, OwnerRequest } from "@parley/actors/owner/OwnerProtocol"
import { round } from "../Report.ts"
import { sized } from "../Sizes.ts"

const warmTimes = 20_000
const times = sized(300_000, 50_000)

export const sendOf = (channel: string): OwnerRequest => ({
  _tag: "Mutate",
  caller: { user: "user-123456", device: "device-1234567890", connection: 4_711, edge: "host-1-0123456789abcdef" },
  mutation: {
    op: "send",
    channel,
    cid: "019aa000-1234-7000-8000-0123456789ab",
    text: "a message of the usual length, which is not long at all, sent by a person",
    mentions: []
  },
  admin: false
})

const link: LinkMessage = {
  owner: "host-1-0123456789abcdef",
  start: 1_764_380_000_000,
  edge: "host-2-0123456789abcdef",
  number: 123_456,
  items: [
    {
      _tag: "Event",
      topic: "c/group:room-12345",
      from: 122_999,
      to: 123_000,
      body: `{"seq":123000,"text":"${"m".repeat(178)}"}`,
      kind: "message",
      originEdge: "host-1-0123456789abcdef",
      originConnection: 4_711,
      members: [],
      readFanout: false
    }
  ],
  digest: null
}

/** CPU microseconds each time. */
const cost = (what: () => unknown): number => {
  for (let i = 0; i < warmTimes; i++) what()
  const before = process.cpuUsage()
  for (let i = 0; i < times; i++) what()
  const { system, user } = process.cpuUsage(before)
  return round((user + system) / times, 2)
}

export const codecCosts = () => {
  const writer = new ByteWriter()
  const send = sendOf("group:room-12345")
  return {
    send_us: cost(() => {
      writeRequest(writer, send)
      return readRequest(new ByteReader(writer.take()))
    }),
    send_json_us: cost(() => JSON.parse(Buffer.from(JSON.stringify(send)).toString())),
    link_us: cost(() => {
      writeLinkMessage(writer, link)
      return readLinkMessage(new ByteReader(writer.take()))
    }),
    link_json_us: cost(() => JSON.parse(Buffer.from(JSON.stringify(link)).toString()))
  }
}
