import { assert, describe, it } from "@effect/vitest"
import { StreamRoom, usageAgeFullMsMax, usageAgeMsMax } from "../../src/jetstream/StreamRoom.ts"

/** A stream whose looks are answered when the test says so. */
const makeRoom = (softBytes = 1_000) => {
  const looks: Array<(bytes: number) => void> = []
  const clock = { now: 0 }
  const room = new StreamRoom({
    softBytes,
    look: () => new Promise((resolve) => looks.push(resolve)),
    now: () => clock.now
  })
  const answer = async (bytes: number): Promise<void> => {
    looks.shift()?.(bytes)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { room, looks, clock, answer }
}

describe("how full a stream is", () => {
  it("is what the leader said, and what was sent since", async () => {
    const { answer, room } = makeRoom()
    room.refresh()
    await answer(600)
    assert.isTrue(room.fits(400))
    assert.isFalse(room.fits(401))
    room.sent(300)
    assert.strictEqual(room.bytes, 900)
    room.settled(300, true)
    assert.strictEqual(room.bytes, 900)
    room.sent(50)
    room.settled(50, false)
    assert.strictEqual(room.bytes, 900)
  })

  it("counts nothing too little while a look is under way, and nothing twice after the next", async () => {
    const { answer, clock, room } = makeRoom()
    room.sent(100)
    room.refresh()
    room.settled(100, true)
    room.sent(200)
    // The leader may have said this before the 100 came, or after.
    await answer(500)
    assert.strictEqual(room.bytes, 800)
    room.settled(200, true)
    clock.now += usageAgeMsMax + 1
    room.refresh()
    await answer(700)
    assert.strictEqual(room.bytes, 700)
  })

  it("is looked at so often under load, and more often where it is full", async () => {
    const { answer, clock, looks, room } = makeRoom()
    room.refresh()
    assert.lengthOf(looks, 1)
    room.refresh()
    assert.lengthOf(looks, 1, "one look at a time")
    await answer(10)
    clock.now += usageAgeMsMax
    room.refresh()
    assert.lengthOf(looks, 0)
    clock.now += 1
    room.refresh()
    assert.lengthOf(looks, 1)
    await answer(1_000)
    clock.now += usageAgeFullMsMax + 1
    room.refresh()
    assert.lengthOf(looks, 1)
  })

  it("keeps what it knows when a look fails", async () => {
    let fail = false
    const room = new StreamRoom({
      softBytes: 1_000,
      look: () => (fail ? Promise.reject(new Error("no leader")) : Promise.resolve(900)),
      now: () => performance.now()
    })
    await room.look()
    fail = true
    await room.look().catch(() => {})
    assert.strictEqual(room.bytes, 900)
  })
})
