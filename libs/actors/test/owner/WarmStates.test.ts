/** States at rest keep their bytes whatever comes and goes, and room is made of holes before any state is dropped. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { IdPlaces } from "../../src/owner/IdPlaces.ts"
import { WarmStates } from "../../src/owner/WarmStates.ts"

const bound = 65_536
const bytesOf = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill)
const held = (states: WarmStates, id: string): Array<number> | undefined => {
  const state = states.get(id)
  return state === undefined ? undefined : [...state]
}

const step = fc.oneof(
  fc.record({
    _tag: fc.constant("put" as const),
    id: fc.integer({ min: 0, max: 40 }),
    length: fc.oneof(fc.integer({ min: 0, max: 700 }), fc.constant(9_000)),
    fill: fc.integer({ min: 0, max: 255 })
  }),
  fc.record({ _tag: fc.constant("take" as const), id: fc.integer({ min: 0, max: 40 }) }),
  fc.record({ _tag: fc.constant("delete" as const), id: fc.integer({ min: 0, max: 40 }) }),
  fc.record({
    _tag: fc.constant("reclaim" as const),
    times: fc.integer({ min: 1, max: 60 }),
    kept: fc.integer({ min: 0, max: 40 })
  })
)

describe("warm states", () => {
  it("are what was put, as a map would have them, and only what may go is dropped", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const states = new WarmStates(bound)
        const model = new Map<string, Array<number>>()
        for (const it of steps) {
          if (it._tag === "put") {
            states.put(`c:${it.id}`, bytesOf(it.length, it.fill))
            model.set(`c:${it.id}`, [...bytesOf(it.length, it.fill)])
          } else if (it._tag === "take") {
            const taken = states.take(`c:${it.id}`)
            expect(taken === undefined ? undefined : [...taken]).toEqual(model.get(`c:${it.id}`))
            model.delete(`c:${it.id}`)
          } else if (it._tag === "delete") {
            states.delete(`c:${it.id}`)
            model.delete(`c:${it.id}`)
          } else {
            for (let i = 0; i < it.times; i++) {
              states.reclaim((id) => {
                const may = id !== `c:${it.kept}`
                if (may) model.delete(id)
                return may
              })
            }
          }
        }
        expect(states.count).toBe(model.size)
        for (const [id, bytes] of model) expect(held(states, id)).toEqual(bytes)
        for (let id = 0; id <= 40; id++) if (!model.has(`c:${id}`)) expect(states.get(`c:${id}`)).toBeUndefined()
      })
    )
  })

  it("give their bytes back when none is left", () => {
    const states = new WarmStates(bound)
    for (let i = 0; i < 1_000; i++) states.put(`c:${i}`, bytesOf(100, i))
    expect(states.bytes).toBeGreaterThan(110_000)
    for (let i = 0; i < 1_000; i++) states.delete(`c:${i}`)
    expect(states.bytes).toBe(0)
  })

  it("make room of holes first: a state is dropped only where there are few", () => {
    const states = new WarmStates(bound)
    const dropped: Array<string> = []
    const drop = (id: string) => dropped.push(id) > 0
    for (let i = 0; i < 100; i++) states.put(`c:${i}`, bytesOf(500, i))
    for (let i = 0; i < 100; i++) if (i % 2 === 0) states.delete(`c:${i}`)
    const before = states.bytes
    for (let looks = 0; states.bytes >= before && looks < 100; looks++) states.reclaim(drop)
    expect(states.bytes).toBeLessThan(before)
    expect([dropped.length, states.count]).toEqual([0, 50])
    for (let i = 1; i < 100; i += 2) expect(held(states, `c:${i}`)).toEqual([...bytesOf(500, i)])
  })

  it("go in the order in which they came to rest", () => {
    const states = new WarmStates(bound)
    const dropped: Array<string> = []
    for (let i = 0; i < 200; i++) states.put(`c:${i}`, bytesOf(100, i))
    states.put("c:0", bytesOf(100, 1))
    for (let looks = 0; looks < 40; looks++) states.reclaim((id) => dropped.push(id) > 0)
    expect(dropped.slice(0, 3)).toEqual(["c:1", "c:2", "c:3"])
    expect(states.get("c:0")).toBeDefined()
  })
})

describe("places by id", () => {
  it("are found through growth and removal, as in a map", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 300 })), { maxLength: 1_200 }), (steps) => {
        const ids: Array<string> = []
        const places = new IdPlaces((place, id) => ids[place] === id)
        const model = new Map<string, number>()
        for (const [add, number] of steps) {
          const id = `u${number}`
          if (!add) {
            expect(places.remove(id)).toBe(model.get(id))
            model.delete(id)
          } else if (model.has(id)) {
            places.move(id, ids.push(id) - 1)
            model.set(id, ids.length - 1)
          } else {
            places.add(id, ids.push(id) - 1)
            model.set(id, ids.length - 1)
          }
        }
        expect(places.count).toBe(model.size)
        for (let number = 0; number <= 300; number++) expect(places.find(`u${number}`)).toBe(model.get(`u${number}`))
      })
    )
  })
})
