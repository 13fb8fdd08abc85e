/**
 * The cases of the Autobahn test suite that concern a server without extensions, each also one byte at a time; and
 * random frames, right and wrong, cut anywhere, against the receiver of `ws`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as ws from "ws"
import { type FrameLimits, type FrameSink, readFrames, type Unfinished } from "../../src/edge/FrameReader.ts"

const limits: FrameLimits = { messageBytesMax: 65_536, fragmentsMax: 64 }

interface FrameOf {
  readonly opcode: number
  readonly payload?: Buffer | string
  readonly fin?: boolean
  readonly rsv?: number
  readonly masked?: boolean
  /** Of the length's form: 7, 16 or 64 bits. */
  readonly bits?: 7 | 16 | 64
}

const key = Buffer.from([0x37, 0xfa, 0x21, 0x3d])

const frame = ({ bits, fin = true, masked = true, opcode, payload = "", rsv = 0 }: FrameOf): Buffer => {
  const bytes = Buffer.from(payload)
  const form = bits ?? (bytes.length < 126 ? 7 : bytes.length < 65_536 ? 16 : 64)
  const header = Buffer.alloc(form === 7 ? 2 : form === 16 ? 4 : 10)
  header[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  header[1] = (masked ? 0x80 : 0) | (form === 7 ? bytes.length : form === 16 ? 126 : 127)
  if (form === 16) header.writeUInt16BE(bytes.length, 2)
  if (form === 64) header.writeBigUInt64BE(BigInt(bytes.length), 2)
  if (!masked) return Buffer.concat([header, bytes])
  return Buffer.concat([header, key, bytes.map((byte, i) => byte ^ (key[i % 4] ?? 0))])
}

const text = (payload: Buffer | string, more: Partial<FrameOf> = {}) => frame({ opcode: 1, payload, ...more })
const closing = (code: number, reason: Buffer | string = "") =>
  frame({ opcode: 8, payload: Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]) })

class Log implements FrameSink {
  reading = true
  readonly seen: Array<string> = []
  onText(payload: string): void {
    this.seen.push(`text ${payload}`)
  }
  onBinary(): void {
    this.seen.push("binary")
  }
  onPing(payload: Buffer): void {
    this.seen.push(`ping ${payload.toString("latin1")}`)
  }
  onPong(): void {
    this.seen.push("pong")
  }
  onClose(code: number): void {
    this.seen.push(`close ${code}`)
    this.reading = false
  }
  onViolation(code: number): void {
    this.seen.push(`violation ${code}`)
    this.reading = false
  }
}

/** Reads the chunks out of one buffer that is used again for each, as sockets do. */
const readAll = (chunks: ReadonlyArray<Buffer>) => {
  const log = new Log()
  const shared = Buffer.alloc(Math.max(1, ...chunks.map((chunk) => chunk.length)))
  let unfinished: Unfinished | null = null
  for (const chunk of chunks) {
    shared.fill(0xee)
    chunk.copy(shared)
    if (log.reading) unfinished = readFrames(unfinished, shared, chunk.length, limits, log)
  }
  return { seen: log.seen, unfinished }
}

const bytewise = (bytes: Buffer) => Array.from(bytes, (byte) => Buffer.of(byte))

/** What is seen of these frames, whether they come in one piece or byte by byte. */
const seenOf = (...frames: ReadonlyArray<Buffer>): ReadonlyArray<string> => {
  const bytes = Buffer.concat(frames)
  const whole = readAll([bytes])
  const pieces = readAll(bytewise(bytes))
  expect(pieces.seen).toEqual(whole.seen)
  expect(whole.unfinished === null).toBe(pieces.unfinished === null)
  return whole.seen
}

describe("messages", () => {
  for (const size of [0, 1, 125, 126, 127, 128, 65_535, 65_536]) {
    it(`of ${size} bytes come whole, and leave nothing behind`, () => {
      const payload = "*".repeat(size)
      const { seen, unfinished } = readAll([text(payload)])
      expect(seen).toEqual([`text ${payload}`])
      expect(unfinished).toBeNull()
      expect(readAll([frame({ opcode: 2, payload })]).seen).toEqual(["binary"])
    })
  }

  it("come byte by byte, several at once, and in any form of their length", () => {
    expect(seenOf(text("one"), text("two"), text("three"))).toEqual(["text one", "text two", "text three"])
    expect(seenOf(text("short", { bits: 16 }), text("short", { bits: 64 }))).toEqual(["text short", "text short"])
  })

  it("too large are refused by their header, before a byte of them came", () => {
    const large = text("*".repeat(65_537))
    expect(readAll([large.subarray(0, 10)]).seen).toEqual(["violation 1009"])
    expect(readAll([Buffer.from([0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255])]).seen).toEqual([
      "violation 1009"
    ])
    const half = "*".repeat(40_000)
    expect(seenOf(text(half, { fin: false }), frame({ opcode: 0, payload: half }))).toEqual(["violation 1009"])
  })
})

describe("pings and pongs", () => {
  it("have up to 125 bytes, and come between messages and fragments", () => {
    const most = "p".repeat(125)
    expect(
      seenOf(frame({ opcode: 9 }), frame({ opcode: 9, payload: most }), frame({ opcode: 10, payload: "x" }))
    ).toEqual(["ping ", `ping ${most}`, "pong"])
    expect(
      seenOf(text("a", { fin: false }), frame({ opcode: 9, payload: "!" }), frame({ opcode: 0, payload: "b" }))
    ).toEqual(["ping !", "text ab"])
  })

  it("with more, or in fragments, are violations", () => {
    expect(seenOf(frame({ opcode: 9, payload: "p".repeat(126) }))).toEqual(["violation 1002"])
    expect(seenOf(frame({ opcode: 9, payload: "p", fin: false }))).toEqual(["violation 1002"])
    expect(seenOf(frame({ opcode: 10, payload: "p", fin: false }))).toEqual(["violation 1002"])
  })
})

describe("reserved bits and opcodes, and frames without a mask", () => {
  it("are violations, and what comes after is not read", () => {
    for (const rsv of [1, 2, 3, 4, 5, 6, 7]) {
      for (const opcode of [1, 2, 8, 9, 10]) {
        expect(seenOf(text("before"), frame({ opcode, rsv }), text("after"))).toEqual(["text before", "violation 1002"])
      }
    }
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
      expect(seenOf(frame({ opcode }), text("after"))).toEqual(["violation 1002"])
    }
    expect(seenOf(text("bare", { masked: false }))).toEqual(["violation 1002"])
  })
})

describe("fragments", () => {
  it("make one message, also empty ones and many", () => {
    const parts = ["one ", "", "two ", "three"]
    const frames = parts.map((payload, i) => frame({ opcode: i === 0 ? 1 : 0, payload, fin: i === parts.length - 1 }))
    expect(seenOf(...frames, text("next"))).toEqual(["text one two three", "text next"])
    const many = Array.from({ length: 64 }, (_, i) => frame({ opcode: i === 0 ? 2 : 0, payload: "x", fin: i === 63 }))
    expect(seenOf(...many)).toEqual(["binary"])
  })

  it("beyond the bound, without a beginning, or with another message between, are violations", () => {
    const many = Array.from({ length: 66 }, (_, i) => frame({ opcode: i === 0 ? 1 : 0, payload: "x", fin: i === 65 }))
    expect(seenOf(...many)).toEqual(["violation 1008"])
    expect(seenOf(frame({ opcode: 0, payload: "x" }))).toEqual(["violation 1002"])
    expect(seenOf(frame({ opcode: 0, payload: "x", fin: false }), text("y"))).toEqual(["violation 1002"])
    expect(seenOf(text("x", { fin: false }), text("y"))).toEqual(["violation 1002"])
    expect(seenOf(text("x"), frame({ opcode: 0, payload: "y" }))).toEqual(["text x", "violation 1002"])
  })
})

describe("text", () => {
  const valid = ["κόσμε", "€", "𐍈", "\u{10ffff}", "\u{fffe}", "a\0b", "\u{7ff}\u{800}"]
  it("is taken where it is UTF-8, also cut within a character", () => {
    for (const some of valid) {
      const bytes = Buffer.from(some)
      expect(seenOf(text(bytes))).toEqual([`text ${some}`])
      const parts = Array.from(bytes, (byte, i) =>
        frame({ opcode: i === 0 ? 1 : 0, payload: Buffer.of(byte), fin: i === bytes.length - 1 })
      )
      expect(seenOf(...parts)).toEqual([`text ${some}`])
    }
  })

  it("that is no UTF-8 is a violation: overlong, half a pair, beyond the last character, cut off", () => {
    for (const hex of [
      "ff",
      "80",
      "c0af",
      "e080af",
      "f08080af",
      "eda080",
      "edbfbf",
      "f4908080",
      "f8888080",
      "ce",
      "e282"
    ]) {
      const bytes = Buffer.from(hex, "hex")
      expect(seenOf(text(bytes))).toEqual(["violation 1007"])
      expect(seenOf(text("a", { fin: false }), frame({ opcode: 0, payload: bytes }))).toEqual(["violation 1007"])
    }
  })
})

describe("close frames", () => {
  it("end the reading, with their code where they have one", () => {
    expect(seenOf(frame({ opcode: 8 }), text("after"))).toEqual(["close 1005"])
    for (const code of [1000, 1001, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999]) {
      expect(seenOf(closing(code, "bye €"), frame({ opcode: 9 }))).toEqual([`close ${code}`])
    }
  })

  it("with half a code, a code that may not be sent, or a reason that is no UTF-8, are violations", () => {
    expect(seenOf(frame({ opcode: 8, payload: "x" }))).toEqual(["violation 1002"])
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535]) {
      expect(seenOf(closing(code))).toEqual(["violation 1002"])
    }
    expect(seenOf(closing(1000, Buffer.of(0xff)))).toEqual(["violation 1007"])
    expect(seenOf(closing(1000, "r".repeat(124)))).toEqual(["violation 1002"])
  })
})

/** What `ws` sees of the same chunks. */
const wsSees = async (chunks: ReadonlyArray<Buffer>): Promise<ReadonlyArray<string>> => {
  // Exported, and not in the typings.
  const { Receiver } = ws as unknown as { readonly Receiver: new (options: object) => NodeJS.WritableStream }
  const receiver = new Receiver({
    isServer: true,
    maxPayload: limits.messageBytesMax,
    maxFragments: limits.fragmentsMax
  })
  const seen: Array<string> = []
  receiver.on("message", (data: Buffer, isBinary: boolean) => seen.push(isBinary ? "binary" : `text ${String(data)}`))
  receiver.on("ping", (data: Buffer) => seen.push(`ping ${data.toString("latin1")}`))
  receiver.on("pong", () => seen.push("pong"))
  receiver.on("conclude", (code: number) => seen.push(`close ${code}`))
  const over = new Promise<void>((resolve) => {
    receiver.on("error", (error) => {
      const code: unknown = Object.getOwnPropertySymbols(error).map((symbol) => Reflect.get(error, symbol))[0]
      seen.push(`violation ${String(code)}`)
      resolve()
    })
    receiver.on("finish", resolve)
  })
  for (const chunk of chunks) receiver.write(Buffer.from(chunk))
  receiver.end()
  await over
  const closed = seen.findIndex((what) => what.startsWith("close"))
  return closed < 0 ? seen : seen.slice(0, closed + 1)
}

const payload = fc.oneof(
  fc.string({ maxLength: 200 }).map((some) => Buffer.from(some)),
  fc.string({ unit: "binary", maxLength: 30 }).map((some) => Buffer.from(some)),
  fc.uint8Array({ maxLength: 6 }).map((some) => Buffer.from(some)),
  fc.constantFrom(126, 40_000, 65_536, 65_537).map((size) => Buffer.alloc(size, 0x61)),
  fc.constantFrom(1000, 1005, 4000, 5000).map((code) => Buffer.of(code >> 8, code & 255))
)
const sent = fc
  .record({
    opcode: fc.constantFrom(0, 0, 0, 1, 1, 1, 1, 2, 8, 9, 10, 3, 11),
    fin: fc.boolean(),
    rsv: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, 1, 4),
    masked: fc.constantFrom(true, true, true, true, true, true, true, false),
    payload
  })
  .map((some) => frame({ ...some, fin: some.opcode > 7 && some.payload.length % 7 > 0 ? true : some.fin }))

describe("random frames, cut anywhere", () => {
  it("are read as the receiver of ws reads them", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sent, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        async (frames, cuts) => {
          const bytes = Buffer.concat(frames)
          const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
          const chunks = [0, ...places].map((from, i) => bytes.subarray(from, places[i] ?? bytes.length))
          expect(readAll(chunks).seen).toEqual(await wsSees(chunks))
        }
      ),
      { numRuns: 2_000 }
    )
  })
})
