import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { subjectsOf } from "@parley/actors/cluster/Subjects"

describe("subjects", () => {
  const subjects = subjectsOf("parley.one")

  it("of different names are different, and each name is one token without a meaning of its own", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string(), (one, other) => {
        assert.match(subjects.edge(one), /^parley\.one\.edge\.[\w=-]+$/)
        assert.strictEqual(subjects.edge(one) === subjects.edge(other), one === other)
      })
    )
    assert.notStrictEqual(subjects.run("a.b"), subjects.run("a=00002eb"))
  })

  it("have a prefix that is no wildcard and no half subject", () => {
    for (const prefix of ["", "parley.", ".parley", "par ley", "parley.*", ">"]) {
      assert.throws(() => subjectsOf(prefix), /no prefix of NATS subjects/)
    }
  })
})
