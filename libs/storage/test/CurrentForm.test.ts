/** A message's tombstone is the same bytes, made of its body or of what a store keeps beside it (†16). */
import { assert, describe, it } from "@effect/vitest"
import { deletedMessage, messageTombstone } from "../src/CurrentForm.ts"
import { History } from "./History.ts"

describe("A deleted message", () => {
  it("†16 has one tombstone, whatever it is made of", () => {
    const history = new History()
    for (const sent of [history.message(4, "gone", { mentions: ["bob"] }), history.message(7, "тоже", { by: "eve" })]) {
      assert.strictEqual(messageTombstone(sent, 9), deletedMessage(sent.body, 9))
      assert.notInclude(messageTombstone(sent, 9), "bob")
    }
    const { cid: _cid, ...body } = { ...JSON.parse(history.message(8, "own").body) }
    const own = { seq: 8, at: body.at, by: "ann", cid: "", n: body.n }
    assert.strictEqual(messageTombstone(own, 9), deletedMessage(JSON.stringify(body), 9))
  })
})
