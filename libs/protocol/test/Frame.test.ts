/** The schemas of the wire as a whole: they lose nothing, take what is newer, and refuse broken text. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Arbitrary from "effect/Arbitrary"
import { ChannelEvent, UserEvent } from "../src/Event.ts"
import { answers, ErrorBody, onePlace, type OpName, ops, pushes, Text } from "../src/Frame.ts"
import { answerExamples, errorExamples } from "../src/examples/AnswerExamples.ts"
import { eventExamples, userEventExamples } from "../src/examples/EventExamples.ts"
import { opExamples } from "../src/examples/OpExamples.ts"
import { pushExamples } from "../src/examples/PushExamples.ts"
import * as Http from "../src/HttpApi.ts"
import { Limits } from "../src/Limits.ts"

type Plain = Schema.Codec<unknown, unknown>

const keysOf = <Key extends string>(of: { readonly [K in Key]: unknown }) =>
  Object.keys(of).filter((key): key is Key => key in of)
const opNames = keysOf(ops)
const pushNames = keysOf(pushes)

const opOf = (name: OpName): Plain => ops[name]

/** Every schema that is a body on the wire, by what it is called in a failure. */
const schemas: ReadonlyArray<readonly [string, Plain]> = [
  ...opNames.map((name): readonly [string, Plain] => [`op ${name}`, ops[name]]),
  ...opNames.map((name): readonly [string, Plain] => [`answer ${name}`, answers[name]]),
  ...pushNames.map((name): readonly [string, Plain] => [`push ${name}`, pushes[name]]),
  ["ChannelEvent", ChannelEvent],
  ["UserEvent", UserEvent],
  ["ErrorBody", ErrorBody],
  ["TokenRequest", Http.TokenRequest],
  ["TokenAnswer", Http.TokenAnswer],
  ["UserProfile", Http.UserProfile],
  ["UserPut", Http.UserPut],
  ["RevokeRequest", Http.RevokeRequest],
  ["RevokeAnswer", Http.RevokeAnswer],
  ["MembersPage", Http.MembersPage],
  ["NotReady", Http.NotReady]
]

describe("every schema", () => {
  for (const [name, schema] of schemas) {
    it.effect.prop(
      `comes back from the wire as it went: ${name}`,
      [Arbitrary.schema(schema)],
      ([value]) =>
        Effect.sync(() => {
          const wire = JSON.stringify(Schema.encodeUnknownSync(schema)(value))
          const back = Schema.decodeUnknownSync(schema)(JSON.parse(wire))
          assert.strictEqual(JSON.stringify(Schema.encodeUnknownSync(schema)(back)), wire)
          // JSON has no -0, which is a whole number all the same.
          assert.deepStrictEqual(back, JSON.parse(JSON.stringify(value)))
        }),
      { arbitrary: { runs: 40 } }
    )
  }
})

/** The same with a field that this version does not know in every object. */
const withLaterFields = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(withLaterFields)
    : typeof value === "object" && value !== null
      ? {
          ...Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withLaterFields(inner)])),
          later: { x: [1] }
        }
      : value

describe("what is newer", () => {
  const examples: ReadonlyArray<readonly [Plain, unknown]> = [
    ...opNames.map((name): readonly [Plain, unknown] => [ops[name], opExamples[name]]),
    // `limits` of hello is a record: there a later field would be a limit, and is one.
    ...opNames
      .filter((name) => name !== "hello")
      .map((name): readonly [Plain, unknown] => [answers[name], answerExamples[name]]),
    ...pushNames.map((name): readonly [Plain, unknown] => [pushes[name], pushExamples[name]]),
    ...Object.values(eventExamples).map((example): readonly [Plain, unknown] => [ChannelEvent, example]),
    ...Object.values(userEventExamples).map((example): readonly [Plain, unknown] => [UserEvent, example]),
    ...Object.values(errorExamples).map((example): readonly [Plain, unknown] => [ErrorBody, example])
  ]
  it("is ignored: unknown fields at every depth", () => {
    for (const [schema, example] of examples) {
      // An answer without fields is any object: there is nothing to read in it.
      if (Object.keys(Object(example)).length === 0) continue
      assert.deepStrictEqual(
        Schema.decodeUnknownSync(schema)(withLaterFields(example)),
        Schema.decodeUnknownSync(schema)(example)
      )
    }
  })
  it("may be a limit that the client does not know", () => {
    const limits = { ...answerExamples.hello.limits, later_max: 7 }
    const answer = Schema.decodeUnknownSync(answers.hello)({ ...answerExamples.hello, limits })
    assert.strictEqual(answer.limits["later_max"], 7)
  })
})

describe("every op", () => {
  it("is refused without any one of its required fields", () => {
    for (const name of opNames) {
      const example: Readonly<Record<string, unknown>> = opExamples[name]
      for (const field of Object.keys(example)) {
        const { [field]: _, ...rest } = example
        const optional = ["client", "mentions", "seen", "topic", "before", "limit"].includes(field)
        assert.strictEqual(Schema.is(opOf(name))(rest), optional, `${name} without ${field}`)
      }
    }
  })
  it("is refused with null, or another type, in any field", () => {
    for (const name of opNames) {
      for (const field of Object.keys(opExamples[name])) {
        for (const wrong of [null, {}, true, 1.5]) {
          if (field === "on" && wrong === true) continue
          const frame = { ...opExamples[name], [field]: wrong }
          assert.isFalse(Schema.is(opOf(name))(frame), `${name} with ${field} ${JSON.stringify(wrong)}`)
        }
      }
    }
  })
})

describe("Text", () => {
  const accepts = Schema.is(Text)
  it("has something in it", () => {
    for (const text of ["", " ", "\n\t ", "\u00a0", "\u3000"]) assert.isFalse(accepts(text), JSON.stringify(text))
    for (const text of ["a", " a ", "0", "\u{1f389}", "\u0430"]) assert.isTrue(accepts(text), text)
  })
  it("has no NUL and no half of a surrogate pair", () => {
    for (const text of ["a\0", "\0", "a\ud800", "\udc00a", "\ud83d \udf89"]) {
      assert.isFalse(accepts(text), JSON.stringify(text))
    }
  })
  it("is bounded in bytes of UTF-8, not in characters", () => {
    const max = Limits.textBytesMax
    assert.isTrue(accepts("a".repeat(max)))
    assert.isFalse(accepts("a".repeat(max + 1)))
    assert.isTrue(accepts("\u0430".repeat(max / 2)))
    assert.isFalse(accepts("\u0430".repeat(max / 2) + "a"))
    assert.isTrue(accepts("\u{1f389}".repeat(max / 4)))
    assert.isFalse(accepts("\u{1f389}".repeat(max / 4) + "a"))
  })
})

describe("Name and topic", () => {
  it("may be empty, but not too long or broken", () => {
    const accepts = (name: string, topic: string) => Schema.is(ops.create)({ ...opExamples.create, name, topic })
    assert.isTrue(accepts("", ""))
    assert.isTrue(accepts("n".repeat(Limits.nameCharsMax), "t".repeat(Limits.topicCharsMax)))
    assert.isFalse(accepts("n".repeat(Limits.nameCharsMax + 1), ""))
    assert.isFalse(accepts("", "t".repeat(Limits.topicCharsMax + 1)))
    for (const broken of ["a\0", "\ud800", "\udc00a"]) {
      assert.isFalse(accepts(broken, ""))
      assert.isFalse(accepts("", broken))
    }
  })
})

describe("lists", () => {
  const users = (count: number) => Array.from({ length: count }, (_, place) => `u${place}`)
  it("are bounded", () => {
    const { mentionsMax, membersPerChangeMax, presenceWatchesPerConnectionMax, syncChannelsMax } = Limits
    const held = (count: number) => users(count).map((user) => [`group:${user}`, 0, 1])
    const cases: ReadonlyArray<readonly [OpName, string, (count: number) => unknown, number, number]> = [
      ["send", "mentions", users, 0, mentionsMax],
      ["edit", "mentions", users, 0, mentionsMax],
      ["create", "members", users, 0, membersPerChangeMax],
      ["add_members", "members", users, 1, membersPerChangeMax],
      ["remove_members", "members", users, 1, membersPerChangeMax],
      ["presence_watch", "users", users, 0, presenceWatchesPerConnectionMax],
      ["sync", "channels", held, 0, syncChannelsMax]
    ]
    for (const [name, field, make, min, max] of cases) {
      const accepts = (count: number) => Schema.is(opOf(name))({ ...opExamples[name], [field]: make(count) })
      const taken = [min - 1, min, max, max + 1].filter((count) => count >= 0 && accepts(count))
      assert.deepStrictEqual(taken, [min, max], `${name}.${field}`)
    }
  })
})

describe("history", () => {
  it("is asked for by one place at most", () => {
    const page = Schema.Struct({ ...ops.history.fields }).check(onePlace)
    const accepts = (places: object) => {
      const frame = { id: 1, op: "history", channel: "group:x", ...places }
      assert.strictEqual(Schema.is(page)(frame), Schema.is(ops.history)(frame))
      return Schema.is(ops.history)(frame)
    }
    for (const places of [{}, { before: 1 }, { after: 1 }, { around: 1 }, { around: 0 }]) assert.isTrue(accepts(places))
    for (const places of [
      { before: 1, after: 1 },
      { before: 0, around: 0 },
      { before: 1, after: 2, around: 3 }
    ]) {
      assert.isFalse(accepts(places))
    }
  })
})
