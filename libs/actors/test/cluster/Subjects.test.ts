import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { edgeBusGrants, runnerBusGrants } from "@parley/actors/cluster/BusGrants"
import { edgeName, subjectsOf } from "@parley/actors/cluster/Subjects"

const prefix = "parley.one"
const subjects = subjectsOf(prefix)
const name = fc.oneof(fc.string({ unit: "binary" }), fc.string(), fc.constantFrom("", "a/b", "a.b", "*", ">", "a-b"))

/** As nats-server matches: `*` is one token, `>` is the rest, of one token at least. */
const covers = (pattern: string, subject: string): boolean => {
  const [wanted, given] = [pattern.split("."), subject.split(".")]
  for (const [at, token] of wanted.entries()) {
    if (token === ">") return given.length > at
    if (given[at] === undefined || (token !== "*" && token !== given[at])) return false
  }
  return wanted.length === given.length
}
const granted = (patterns: ReadonlyArray<string>, subject: string) => patterns.some((it) => covers(it, subject))

describe("subjects", () => {
  it("of different names are different, and each name is one token without a meaning of its own", () => {
    fc.assert(
      fc.property(name, name, (one, other) => {
        assert.match(subjects.run(one), /^parley\.one\.run\.[\w=-]+$/)
        assert.match(subjects.edge(edgeName(one, "1f")), /^parley\.one\.edge\.[\w=-]+\.1f$/)
        assert.strictEqual(subjects.run(one) === subjects.run(other), one === other)
        assert.strictEqual(subjects.edge(one) === subjects.edge(other), one === other)
      })
    )
    assert.notStrictEqual(subjects.run("a.b"), subjects.run("a=00002eb"))
  })

  it("have a prefix that is no wildcard and no half subject", () => {
    for (const wrong of ["", "parley.", ".parley", "par ley", "parley.*", ">"]) {
      assert.throws(() => subjectsOf(wrong), /no prefix of NATS subjects/)
    }
  })
})

describe("grants", () => {
  const grantsOf = (node: string) => ({ prefix, bucket: "leases", node })

  it("let a node hear what is meant for it, whatever names are made of, and no other node's", () => {
    fc.assert(
      fc.property(name, name, name, name, (node, other, runner, start) => {
        fc.pre(node !== other && !start.includes("/"))
        for (const { subscribe } of [edgeBusGrants(grantsOf(node)), runnerBusGrants(grantsOf(node))]) {
          for (const [mine, theirs] of [
            [subjects.answers(node, "p", runner), subjects.answers(other, "p", runner)],
            [subjects.inbox(node, "p"), subjects.inbox(other, "p")],
            [subjects.session(node, "s"), subjects.session(other, "s")],
            [`${subjects.answersTo(node)}.x`, `${subjects.answersTo(other)}.x`],
            [subjects.edge(edgeName(node, start)), subjects.edge(edgeName(other, start))]
          ] as const) {
            assert.isTrue(granted(subscribe, mine), mine)
            assert.isFalse(granted(subscribe, theirs), theirs)
          }
        }
      })
    )
  })

  it("let runners be asked and answer, and edges ask only", () => {
    fc.assert(
      fc.property(name, name, (node, runner) => {
        const [edge, owner] = [edgeBusGrants(grantsOf("e1")), runnerBusGrants(grantsOf("r1"))]
        const asking = [subjects.run(runner), subjects.entities(runner)]
        for (const subject of asking) {
          assert.isTrue(granted(edge.publish, subject) && granted(owner.publish, subject))
          assert.isTrue(granted(owner.subscribe, subject) && !granted(edge.subscribe, subject))
        }
        const speaking = [subjects.answers(node, "p", runner), subjects.edge(edgeName(node, "1")), subjects.owned]
        for (const subject of [...speaking, subjects.hint, "$KV.leases.shard.1"]) {
          assert.isTrue(granted(owner.publish, subject) && !granted(edge.publish, subject), subject)
        }
      })
    )
  })
})
