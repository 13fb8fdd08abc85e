/** Which edge a client goes to: the one that it is told of, then the next, then back to where it was sent first. */
import { describe, expect, it } from "vitest"
import { defaultSettings } from "../src/ClientSettings.ts"
import { Edges } from "../src/Edges.ts"
import { platformEnvironment } from "../src/Environment.ts"

const make = (answer: (url: string) => unknown, address = "https://chat.example.com", zone = "") => {
  const asked: Array<string> = []
  const environment = {
    ...platformEnvironment,
    fetchJson: async (url: string) => {
      asked.push(url)
      const found = answer(url)
      if (found === undefined) throw new Error("away")
      return found
    }
  }
  return { asked, edges: new Edges(address, zone, environment, defaultSettings) }
}
const list = (...urls: ReadonlyArray<string>) => ({ edges: urls.map((url) => ({ url, zone: "" })) })

describe("the edges of a client", () => {
  it("are asked for once, and tried one after the other when one is lost", async () => {
    const { asked, edges } = make(() => list("https://a.example.com", "https://b.example.com"), undefined, "z 1")
    expect(await edges.socket()).toBe("wss://a.example.com/v1/socket")
    expect(await edges.socket()).toBe("wss://a.example.com/v1/socket")
    edges.lost()
    expect(await edges.socket()).toBe("wss://b.example.com/v1/socket")
    expect(asked).toEqual(["https://chat.example.com/v1/edges?zone=z%201"])
    edges.lost()
    expect(await edges.socket()).toBe("wss://a.example.com/v1/socket")
    expect(asked.length).toBe(2)
  })

  it("are asked for again when a server says to move", async () => {
    let turn = 0
    const { edges } = make(() => list(`https://e${++turn}.example.com`))
    expect(await edges.socket()).toBe("wss://e1.example.com/v1/socket")
    edges.moved()
    expect(await edges.socket()).toBe("wss://e2.example.com/v1/socket")
  })

  it("are asked of those that are known when the address itself is gone", async () => {
    let gone = false
    const { asked, edges } = make((url) =>
      gone && url.startsWith("https://chat.") ? undefined : list("https://a.example.com", "https://b.example.com")
    )
    await edges.socket()
    gone = true
    edges.moved()
    expect(await edges.socket()).toBe("wss://a.example.com/v1/socket")
    expect(asked.slice(1)).toEqual(["https://chat.example.com/v1/edges", "https://a.example.com/v1/edges"])
  })

  it("are the address itself where nobody answers, none is named, or the answer is none", async () => {
    for (const answer of [undefined, list(), { edges: "no" }, null, { edges: [{ url: "ftp://x" }, 3] }]) {
      const { edges } = make(() => answer)
      expect(await edges.socket()).toBe("wss://chat.example.com/v1/socket")
    }
  })

  it("are not asked for where the address has a path of its own, or the application does not want it", async () => {
    const { asked, edges } = make(() => list("https://a.example.com"), "wss://chat.example.com/tenant/7")
    expect(await edges.socket()).toBe("wss://chat.example.com/tenant/7")
    const environment = { ...platformEnvironment, fetchJson: async () => list("https://a.example.com") }
    const plain = new Edges("http://127.0.0.1:8080", "", environment, { ...defaultSettings, discoverEdges: false })
    expect(await plain.socket()).toBe("ws://127.0.0.1:8080/v1/socket")
    expect(asked).toEqual([])
  })
})
