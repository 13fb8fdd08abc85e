/** Where clients are sent: by zone, by load, never to an edge that stops or was silent. */
import { describe, expect, it } from "vitest"
import { EdgesHeard, silenceMsMax } from "../../src/edge/EdgeDirectory.ts"

const edge = (name: string, zone: string, load: number, open = true) => ({
  name,
  url: `https://${name}.example.com`,
  zone,
  load,
  open
})
const names = (edges: EdgesHeard, zone: string, now = 0) =>
  edges.choose(zone, now).map(({ url }) => /https:\/\/(.*)\.example/.exec(url)?.[1])

describe("the directory of edges", () => {
  it("names those of the zone first, then the emptier ones", () => {
    const edges = new EdgesHeard(() => 0)
    for (const word of [edge("a1", "a", 0.9), edge("a2", "a", 0.1), edge("b1", "b", 0)]) edges.heard(word, 0)
    expect(names(edges, "a")).toEqual(["a2", "a1", "b1"])
    expect(names(edges, "b")).toEqual(["b1", "a2", "a1"])
    expect(names(edges, "")).toEqual(["b1", "a2", "a1"])
  })

  it("names none that stops, is overloaded or was silent, and few of many", () => {
    const edges = new EdgesHeard(() => 0)
    edges.heard(edge("silent", "", 0), 0)
    edges.heard(edge("here", "", 0), silenceMsMax)
    edges.heard(edge("stops", "", 0), silenceMsMax)
    edges.heard(edge("stops", "", 0, false), silenceMsMax)
    expect(names(edges, "", silenceMsMax + 1)).toEqual(["here"])
    for (let i = 0; i < 20; i++) edges.heard(edge(`more${i}`, "", 0), silenceMsMax)
    expect(names(edges, "", silenceMsMax + 1).length).toBe(8)
  })

  it("shows all that were heard lately, also those that are closed, with their connections", () => {
    const edges = new EdgesHeard(() => 0)
    edges.heard(edge("gone", "", 0), 0)
    edges.heard({ ...edge("b", "x", 0.5, false), connections: 7 }, 3_000)
    // An older version does not count them.
    edges.heard(edge("a", "", 0), 3_500)
    const rest = (name: string) => ({ name, url: `https://${name}.example.com` })
    expect(edges.all(4_000)).toEqual([
      { ...rest("a"), zone: "", open: true, connections: 0, heardMs: 500 },
      { ...rest("b"), zone: "x", open: false, connections: 7, heardMs: 1_000 }
    ])
    expect([edges.knows("b"), edges.knows("never")]).toEqual([true, false])
  })

  it("spreads those who ask at once over edges that are as full", () => {
    let seed = 1
    const edges = new EdgesHeard(() => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647)
    for (const name of ["a", "b", "c"]) edges.heard(edge(name, "", 0.5), 0)
    const counts = new Map<string | undefined, number>()
    for (let i = 0; i < 300; i++) counts.set(names(edges, "")[0], (counts.get(names(edges, "")[0]) ?? 0) + 1)
    for (const name of ["a", "b", "c"]) expect(counts.get(name)).toBeGreaterThan(50)
  })
})
