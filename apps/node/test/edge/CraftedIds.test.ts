/**
 * Nobody reaches somebody else's subject, key or row by an id. What passes the grammars is one token wherever it goes, and
 * two ids never meet there; what does not pass is refused, wherever a client may put it, before anybody is asked anything.
 */
import { createHash } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type HttpExample, httpExamples } from "@parley/protocol/examples/HttpExamples"
import { opExamples } from "@parley/protocol/examples/OpExamples"
import { channelIdPattern, userIdPattern } from "@parley/protocol/Ids"
import { clientId, EdgeHarness, type TestClient } from "./EdgeHarness.ts"

const userId = fc.stringMatching(userIdPattern)
const channelId = fc.stringMatching(channelIdPattern)

/**
 * What has a meaning in a subject, a key, a pattern, a path, a statement or a header, and what looks like a letter, a
 * colon or nothing at all.
 */
const harmful = [
  ..." .*>/\\%?[]{}'\";$#&=+,<|~^`!@()\t\r\n\0\x7f\u00a0",
  "..",
  "../",
  ":",
  "\u0430", // Cyrillic a
  "\u03bf", // Greek omicron
  "\uff21", // fullwidth A
  "\uff1a", // fullwidth colon
  "\uff0e", // fullwidth full stop
  "\u2024", // one dot leader
  "\u0131", // dotless i
  "\u212a", // Kelvin sign, k in lower case
  "\u0660", // an Arabic digit
  "\u0301", // combining acute accent
  "\u200b", // zero width space
  "\u200d",
  "\u202e", // right to left override
  "\ufeff",
  "\ud83d\ude42",
  "\ud83d" // half of a pair
]
const crafted = (valid: fc.Arbitrary<string>) =>
  fc
    .tuple(valid, fc.nat(), fc.constantFrom(...harmful))
    .map(([id, at, what]) => `${id.slice(0, at % (id.length + 1))}${what}${id.slice(at % (id.length + 1))}`)
const long = fc.constant("a".repeat(65))
const wrongUser = fc.oneof({ weight: 9, arbitrary: crafted(userId) }, long, fc.constantFrom("", "-a", "_a"))
const wrongChannel = fc.oneof(
  { weight: 9, arbitrary: crafted(channelId) },
  { weight: 2, arbitrary: userId },
  long.map((id) => `team:${id}`),
  fc.constantFrom("", ":", "team:", ":a", "Team:a", "1team:a", "team:-a")
)

const apiKey = "of the servers"
let harness: EdgeHarness
let ann: TestClient
beforeAll(async () => {
  const many = 1_000_000
  harness = await EdgeHarness.start({
    apiKeyHashes: [createHash("sha256").update(apiKey).digest("hex")],
    framesPerSecond: many,
    sendsPerSecond: many,
    mutationsPerSecond: many,
    readsPerSecond: many,
    ephemeralPerSecond: many,
    floodStrikesMax: many,
    unauthenticatedPerAddressMax: many,
    connectsPerAddressPerSecond: many,
    eventLoopLagMs: 60_000
  })
  ann = await harness.join("ann")
})
afterAll(() => harness.stop())

/** What the edge asks on its own: who is there, and whether a user's tokens still hold. */
const ownRequests = new Set(["Report", "Open", "Standing"])

/** Of what owners were asked since: what may have come of a client's wish, and whatever has a wrong id in it. */
const askedSince = (start: number, ...wrong: ReadonlyArray<string>) =>
  harness.owners.requests.slice(start).filter((request) => {
    const texts = textsIn(request)
    return !ownRequests.has(request._tag) || wrong.some((id) => texts.includes(id))
  })
const textsIn = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string"
    ? [value]
    : typeof value === "object" && value !== null
      ? Object.values(value).flatMap(textsIn)
      : []
const asked = () => harness.owners.requests.length

/** Where ids are in the examples: the field, or the list's items. A wrong id is put into one of them at a time. */
const userFields = new Set(["user", "users", "members", "mentions", "device"])
const channelFields = new Set(["channel", "channels"])
const withWrong = (value: unknown, field: string, wrong: { user: string; channel: string }): Array<unknown> => {
  if (typeof value === "string") {
    if (userFields.has(field)) return [wrong.user]
    return channelFields.has(field) ? [wrong.channel] : []
  }
  if (Array.isArray(value)) {
    return value.flatMap((item, at) => withWrong(item, field, wrong).map((one) => value.with(at, one)))
  }
  if (typeof value !== "object" || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    withWrong(inner, key, wrong).map((one) => ({ ...value, [key]: one }))
  )
}

/** An example's calls with a wrong id in the place of one of its ids. */
const wrongCalls = (example: HttpExample, wrong: { user: string; channel: string }) => {
  const { method, path, request } = example
  const inPath = [
    [/\b[a-z]+:[a-z]+\b/, wrong.channel],
    [/\b(?:ada|grace|linus)\b/, wrong.user]
  ] as const
  return [
    ...inPath
      .filter(([place]) => place.test(path))
      .map(([place, id]) => ({ method, path: path.replace(place, () => encodeURIComponent(id)), body: request })),
    ...withWrong(request, "", wrong).map((body) => ({ method, path, body }))
  ]
}

describe("ids that pass the grammar", () => {
  it("are one token without a meaning of its own in subjects, keys, patterns and paths", () => {
    fc.assert(
      fc.property(fc.oneof(userId, channelId), (id) => {
        assert.match(id, /^[A-Za-z0-9_:-]+$/)
        assert.strictEqual(encodeURIComponent(id).replace("%3A", ":"), id)
        assert.strictEqual(id.normalize("NFKC"), id)
        // The fields in which a user's hash of cursors keeps its own affairs.
        assert.notInclude(["#", "?"], id)
      })
    )
  })

  it("never meet: not as a key, not joined to another, not a user's with a channel's", () => {
    const key = (user: string) => `parley-chat:cursors:${user}`
    const joined = (topic: string, id: string) => `${topic}/${id}`
    fc.assert(
      fc.property(userId, userId, channelId, channelId, (one, other, left, right) => {
        assert.strictEqual(key(one) === key(other), one === other)
        assert.strictEqual(joined("c", left) === joined("c", right), left === right)
        assert.notStrictEqual(joined("c", left), joined("u", one))
        assert.notStrictEqual(left, one)
      })
    )
  })
})

describe("ids that don't pass the grammar", () => {
  it("are what their patterns say", () => {
    fc.assert(fc.property(wrongUser, (id) => assert.isFalse(userIdPattern.test(id), id)))
    fc.assert(fc.property(wrongChannel, (id) => assert.isFalse(channelIdPattern.test(id), id)))
  })

  it("are refused in every field of every op, and no owner is asked", async () => {
    let fields = 0
    await fc.assert(
      fc.asyncProperty(wrongUser, wrongChannel, async (user, channel) => {
        const before = asked()
        const frames = Object.entries(opExamples)
          .filter(([op]) => op !== "hello")
          .flatMap(([op, { id: _id, ...example }]) =>
            withWrong(example, "", { user, channel }).map((frame) => [op, frame] as const)
          )
        fields = frames.length
        const posted = frames.map(([op, frame]) => {
          // as: what was an object in the example is one.
          const { op: _op, ...rest } = frame as Record<string, unknown>
          return { op, rest, id: ann.post(op, "cid" in rest ? { ...rest, cid: clientId() } : rest) }
        })
        for (const { id, op, rest } of posted) {
          assert.strictEqual((await ann.answer(id))["error"]?.code, "invalid", `${op} ${JSON.stringify(rest)}`)
        }
        assert.deepStrictEqual(askedSince(before, user, channel), [])
      }),
      { numRuns: 25, endOnFailure: true }
    )
    assert.isAtLeast(fields, 20)
  })

  it("are nobody's in a token, and no device's", async () => {
    await fc.assert(
      fc.asyncProperty(wrongUser, async (wrong) => {
        const before = asked()
        const client = await harness.open()
        const answer = await client.request("hello", { token: await harness.token(wrong), device: "d1" })
        assert.strictEqual(answer["error"]?.code, "unauthenticated", JSON.stringify(wrong))
        const other = await harness.open()
        const hello = await other.request("hello", { token: await harness.token("ann"), device: wrong })
        assert.strictEqual(hello["error"]?.code, "invalid", JSON.stringify(wrong))
        for (const { socket } of [client, other]) socket.terminate()
        assert.deepStrictEqual(askedSince(before, wrong), [])
      }),
      { numRuns: 20, endOnFailure: true }
    )
  })

  it("are refused in every path and body of HTTP, and no owner is asked", async () => {
    const headers = { authorization: `Bearer ${apiKey}`, "x-parley-user": "ann", "content-type": "application/json" }
    let places = 0
    await fc.assert(
      fc.asyncProperty(wrongUser, wrongChannel, async (user, channel) => {
        // Half a pair of surrogates can't be in an address at all.
        fc.pre(user.isWellFormed() && channel.isWellFormed() && user !== "" && channel !== "")
        const before = asked()
        const calls = Object.values<HttpExample>(httpExamples).flatMap((example) =>
          wrongCalls(example, { user, channel })
        )
        places = calls.length
        await Promise.all(
          calls.map(async ({ body, method, path }) => {
            const answer = await fetch(harness.http + path, {
              method,
              headers,
              redirect: "manual",
              ...(body === undefined ? {} : { body: JSON.stringify(body) })
            })
            assert.include([400, 404, 405], answer.status, `${method} ${path} ${JSON.stringify(body)}`)
            await answer.arrayBuffer()
          })
        )
        assert.deepStrictEqual(askedSince(before, user, channel), [])
      }),
      { numRuns: 20, endOnFailure: true }
    )
    assert.isAtLeast(places, 12)
  })
})
