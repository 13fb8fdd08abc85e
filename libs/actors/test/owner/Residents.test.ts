/** Residents that nobody uses go to warm state, however much room there is, and come back as they were. */
import { describe, expect, it } from "vitest"
import { MemoryBudget, type ShardMemory } from "../../src/owner/MemoryBudget.ts"
import { enterPending, type PendingEvent, Residents, restCalls, restLooksMax } from "../../src/owner/Residents.ts"

interface Text {
  readonly bytes: number
  readonly text: string
  pack(): Uint8Array
  shrink(): boolean
}
const state = (text: string): Text => ({
  bytes: 100,
  text,
  pack: () => Buffer.from(text, "latin1"),
  shrink: () => false
})

const room = 1_000_000
const roomy = (): ShardMemory => ({ resident: new MemoryBudget(room), warm: new MemoryBudget(room) })
const make = (stored: (id: string) => boolean = () => true, memory = roomy()) => {
  const loaded: Array<string> = []
  const residents = new Residents<Text>({
    memory,
    decode: (_id, bytes) => state(Buffer.from(bytes).toString("latin1")),
    load: (id, _depth, done) => {
      loaded.push(id)
      queueMicrotask(() => done(state(`${id} ÿ\0`)))
    },
    stored,
    storeReady: () => true
  })
  const use = (id: string): Promise<string> =>
    new Promise((resolve) => residents.turn(id, (resident) => resolve(resident.state?.text ?? ""), resolve))
  const rest = (calls: number) => {
    for (let i = 0; i < calls; i++) residents.rest()
  }
  return { loaded, residents, rest, use }
}

describe("residents", () => {
  it("share a bound of memory: what one table leaves the other may have", async () => {
    const memory = { resident: new MemoryBudget(450), warm: new MemoryBudget(room) }
    const [channels, sessions] = [make(undefined, memory), make(undefined, memory)]
    for (const id of ["a", "b", "c", "d", "a", "b", "c", "d"]) await channels.use(id)
    channels.residents.sweep(16)
    expect(channels.residents.residentCount).toBe(4)
    await sessions.use("ann")
    // Once round takes their second chance away.
    channels.residents.sweep(4)
    channels.residents.sweep(16)
    expect([channels.residents.residentCount, sessions.residents.residentCount]).toEqual([3, 1])
    expect(memory.resident.used).toBe(400)
  })

  it("give up what the store has when room is needed and nobody can go, and only then", async () => {
    const memory = { resident: new MemoryBudget(310), warm: new MemoryBudget(room) }
    const stored = new Set<string>()
    const { residents, use } = make((id) => stored.has(id), memory)
    const shrunk: Array<string> = []
    for (const id of ["ann", "ben", "cat", "dan"]) {
      await use(id)
      await use(id)
      const resident = residents.peek(id)!
      let bytes = 100
      resident.state = {
        ...state(id),
        get bytes() {
          return bytes
        },
        shrink: () => {
          if (bytes === 60) return false
          bytes = 60
          return shrunk.push(id) > 0
        }
      }
    }
    expect(memory.resident.used).toBe(400)
    // A round, in which somebody might have gone.
    residents.sweep(16)
    expect(shrunk).toEqual([])
    residents.sweep(1)
    expect([shrunk, memory.resident.used]).toEqual([["ann"], 360])
    // There is one who can go now.
    stored.add("cat")
    residents.sweep(16)
    expect([shrunk, residents.peek("cat"), memory.resident.used]).toEqual([["ann", "ben"], undefined, 220])
    residents.sweep(16)
    expect(shrunk).toEqual(["ann", "ben"])
  })

  it("are looked at once a sweep, however few there are: one that was used just now is not taken for idle", async () => {
    const memory = { resident: new MemoryBudget(150), warm: new MemoryBudget(room) }
    const { residents, use } = make(undefined, memory)
    for (const id of ["ann", "ben", "ann", "ben"]) await use(id)
    residents.sweep(16)
    expect(residents.residentCount).toBe(2)
    await use("ann")
    residents.sweep(16)
    expect(Array.from(residents.all(), ({ id }) => id)).toEqual(["ann"])
  })

  it("rest when they had no turn for two rounds, and wake from warm state as they were", async () => {
    const { loaded, residents, rest, use } = make()
    await use("ann")
    await use("ben")
    rest(restCalls)
    expect(residents.residentCount).toBe(2)
    await use("ann")
    rest(restCalls)
    expect([residents.residentCount, residents.warmCount]).toEqual([1, 1])
    expect(residents.peek("ann")).toBeDefined()
    expect(await use("ben")).toBe("ben ÿ\0")
    expect(loaded).toEqual(["ann", "ben"])
    expect([residents.residentCount, residents.warmCount, residents.warmBytes]).toEqual([2, 0, 0])
  })

  it("stay while something of theirs is not stored, or they are held or dirty", async () => {
    const stored = new Set<string>()
    const { residents, rest, use } = make((id) => stored.has(id))
    for (const id of ["unstored", "held", "dirty", "free"]) await use(id)
    for (const id of ["held", "dirty", "free"]) stored.add(id)
    residents.hold(residents.peek("held")!)
    residents.peek("dirty")!.dirty = true
    rest(restCalls * 3)
    expect(Array.from(residents.all(), ({ id }) => id)).toEqual(["unstored", "held", "dirty"])
    stored.add("unstored")
    rest(restCalls * 3)
    expect(residents.residentCount).toBe(2)
  })

  it("have what is pending and who waits each for itself, though all share what is empty", async () => {
    const { residents, use } = make()
    for (const id of ["ann", "ben"]) await use(id)
    const [ann, ben] = [residents.peek("ann")!, residents.peek("ben")!]
    const event = (undo: () => void) => ({ undo }) as PendingEvent // as: nothing else of it is looked at
    const [first, second] = [event(() => {}), event(() => {})]
    enterPending(ann, first)
    enterPending(ann, second)
    residents.hold(ann)
    const turns: Array<string> = []
    for (const id of ["ann", "ann", "ben"]) residents.turn(id, (resident) => turns.push(resident.id), turns.push)
    expect([ann.pending, ben.pending]).toEqual([[first, second], []])
    expect([ann.waiting.length, ben.waiting.length, turns]).toEqual([2, 0, ["ben"]])
    residents.release(ann)
    expect([ann.waiting.length, turns]).toEqual([0, ["ben", "ann", "ann"]])
  })

  it("make room before others when they were woken and not used again, however recent", async () => {
    const memory = { resident: new MemoryBudget(1_600), warm: new MemoryBudget(room) }
    const { residents, use } = make(undefined, memory)
    for (const id of ["ann", "ben"]) await use(id)
    for (const id of ["ann", "ben"]) await use(id)
    for (let i = 0; i < 6; i++) await use(`once${i}`)
    // An eighth of the room is two states.
    residents.sweep(16)
    expect(Array.from(residents.all(), ({ id }) => id)).toEqual(["ann", "ben", "once4", "once5"])
    expect([residents.residentBytes, residents.warmCount]).toEqual([400, 4])
    expect(await use("once0")).toBe("once0 ÿ\0")
    residents.sweep(16)
    expect(Array.from(residents.all(), ({ id }) => id)).toEqual(["ann", "ben", "once5", "once0"])
  })

  it("keep no place for those that are used again, though no room is needed", async () => {
    const { residents, use } = make()
    for (let i = 0; i < 1_000; i++) {
      await use(`u${i}`)
      await use(`u${i}`)
      if (i % 2 === 0) residents.passivate(`u${i}`)
    }
    expect([residents.residentCount, residents.freshPlaces < 128]).toEqual([500, true])
  })

  it("rest a bounded number at a time", async () => {
    const { residents, use } = make()
    const many = restLooksMax * restCalls * 2
    for (let i = 0; i < many; i++) await use(`u${i}`)
    let before = residents.residentCount
    for (let i = 0; i < restCalls * 6; i++) {
      residents.rest()
      expect(before - residents.residentCount).toBeLessThanOrEqual(restLooksMax)
      before = residents.residentCount
    }
    expect(before).toBe(0)
  })
})
