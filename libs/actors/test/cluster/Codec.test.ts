import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { ByteReader } from "@parley/actors/cluster/codec/ByteReader"
import { ByteWriter } from "@parley/actors/cluster/codec/ByteWriter"
import {
  type Asked,
  readAsked,
  writeAskedAttach,
  writeAskedDetach,
  writeAskedRequest,
  writeResend,
  writeWho
} from "@parley/actors/cluster/codec/CallCodec"
import { readHint, writeHint } from "@parley/actors/cluster/codec/HintCodec"
import {
  readAttach,
  readAttached,
  readDetach,
  writeAttach,
  writeAttached,
  writeDetach
} from "@parley/actors/cluster/codec/InterestCodec"
import { readLinkMessage, writeLinkMessage } from "@parley/actors/cluster/codec/LinkCodec"
import { readAnswer, readFailure, writeAnswer, writeFailure } from "@parley/actors/cluster/codec/ReplyCodec"
import { belongsTo, readRequest, writeRequest } from "@parley/actors/cluster/codec/RequestCodec"
import { shardOf } from "@parley/actors/fanout/ShardHash"
import {
  answerArbitrary,
  askedArbitrary,
  attachArbitrary,
  attachedArbitrary,
  detachArbitrary,
  failureArbitrary,
  hintArbitrary,
  linkMessageArbitrary,
  requestArbitrary
} from "./Arbitraries.ts"

interface Codec<A> {
  readonly arbitrary: fc.Arbitrary<A>
  readonly write: (to: ByteWriter, value: A) => void
  readonly read: (from: ByteReader, like: A) => unknown
  /** What is read where the bytes end before a field that was added at the end; undefined: they may end nowhere sooner. */
  readonly older?: (value: A) => A | undefined
}
const codec = <A>(of: Codec<A>) => of

const codecs = {
  request: codec({
    arbitrary: requestArbitrary,
    write: writeRequest,
    read: readRequest,
    older: (value) => (value._tag === "MoveCursor" ? { ...value, generation: null } : undefined)
  }),
  answer: codec({
    arbitrary: answerArbitrary,
    write: (to, [tag, ok]) => writeAnswer(to, tag, ok),
    read: (from, [tag]) => [tag, readAnswer(from, tag)]
  }),
  failure: codec({ arbitrary: failureArbitrary, write: writeFailure, read: readFailure }),
  attach: codec({ arbitrary: attachArbitrary, write: writeAttach, read: readAttach }),
  attached: codec({ arbitrary: attachedArbitrary, write: writeAttached, read: readAttached }),
  detach: codec({ arbitrary: detachArbitrary, write: writeDetach, read: readDetach }),
  hint: codec({
    arbitrary: hintArbitrary,
    write: writeHint,
    read: (from) => {
      const outer = from.enter()
      const hint = readHint(from)
      if (!from.leave(outer)) from.fail()
      return hint
    }
  }),
  asked: codec({
    arbitrary: askedArbitrary,
    write: writeAsked,
    read: (from) => {
      const outer = from.enter()
      const asked = readAsked(from)
      if (!from.leave(outer)) from.fail()
      return asked
    }
  }),
  link: codec({ arbitrary: linkMessageArbitrary, write: writeLinkMessage, read: readLinkMessage })
}

function writeAsked(to: ByteWriter, asked: Asked): void {
  switch (asked._tag) {
    case "Request":
      return writeAskedRequest(to, asked.id, asked.shard, asked.epoch, asked.request)
    case "Attach":
      return writeAskedAttach(to, asked.id, asked.epoch, asked.attach)
    case "Who":
      return writeWho(to, asked.shard)
    case "Detach":
      return writeAskedDetach(to, asked.detach)
    case "Resend":
      return writeResend(to, asked.start, asked.edge, asked.from)
  }
}

const bytesOf = <A>({ write }: Codec<A>, value: A): Uint8Array => {
  const writer = new ByteWriter()
  write(writer, value)
  return writer.take()
}

const describeCodec = <A>(name: string, of: Codec<A>) =>
  describe(`the bytes of a ${name}`, () => {
    it("are read as what was written, to the last byte", () => {
      fc.assert(
        fc.property(of.arbitrary, (value) => {
          const reader = new ByteReader(bytesOf(of, value))
          assert.deepStrictEqual(of.read(reader, value), value)
          assert.isFalse(reader.failed)
          assert.strictEqual(reader.left, 0)
        })
      )
    })

    it("are noticed where they end too soon", () => {
      fc.assert(
        fc.property(of.arbitrary, fc.nat(), (value, at) => {
          const bytes = bytesOf(of, value)
          const reader = new ByteReader(bytes.subarray(0, at % bytes.length))
          const read = of.read(reader, value)
          const older = of.older?.(value)
          if (!reader.failed && older !== undefined) assert.deepStrictEqual(read, older)
          else assert.isTrue(reader.failed)
        })
      )
    })

    it("may be garbage, and nothing is thrown or read for ever", () => {
      fc.assert(
        fc.property(of.arbitrary, fc.uint8Array({ maxLength: 400 }), fc.nat(), (value, garbage, at) => {
          of.read(new ByteReader(garbage), value)
          const bytes = bytesOf(of, value)
          bytes.set(garbage.subarray(0, bytes.length - (at % bytes.length)), at % bytes.length)
          of.read(new ByteReader(bytes), value)
        })
      )
    })
  })

describeCodec("request", codecs.request)
describeCodec("answer", codecs.answer)
describeCodec("failure", codecs.failure)
describeCodec("attach", codecs.attach)
describeCodec("attach's answer", codecs.attached)
describeCodec("detach", codecs.detach)
describeCodec("link message", codecs.link)
describeCodec("hint", codecs.hint)
describeCodec("part of what is asked", codecs.asked)

describe("bytes of a newer node", () => {
  it("may have more in a part than this one knows, and the next part is read all the same", () => {
    const writer = new ByteWriter()
    const part = writer.begin()
    writer.text("known")
    writer.text("of a later version")
    writer.end(part)
    writer.number(7)
    const reader = new ByteReader(writer.take())
    const outer = reader.enter()
    assert.strictEqual(reader.text(), "known")
    assert.isTrue(reader.leave(outer))
    assert.strictEqual(reader.number(), 7)
  })

  it("may have a part that can't be read, and the next one is", () => {
    const writer = new ByteWriter()
    const part = writer.begin()
    writer.byte(250)
    writer.end(part)
    writer.number(7)
    const reader = new ByteReader(writer.take())
    const outer = reader.enter()
    assert.isUndefined(readRequest(reader))
    assert.isFalse(reader.leave(outer))
    assert.strictEqual(reader.number(), 7)
  })

  it("may name an error that this one does not know: it may be tried again", () => {
    const writer = new ByteWriter()
    writer.text("too_new")
    writer.text("")
    writer.bool(false)
    writer.bool(false)
    assert.deepStrictEqual(readFailure(new ByteReader(writer.take())), { code: "internal" })
  })
})

describe("a request's shard", () => {
  it("is that of the entity it names, and of no other", () => {
    fc.assert(
      fc.property(fc.string(), (channel) => {
        const request = { _tag: "InspectChannel", channel, payloads: false } as const
        const shard = shardOf(channel, 256)
        assert.isTrue(belongsTo(request, shard, 256))
        assert.isFalse(belongsTo(request, (shard % 256) + 1, 256))
      })
    )
  })
})
