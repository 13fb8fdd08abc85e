/**
 * A cluster as its operators' commands see it, which does what it is wished for some looks later, as a real one does, and
 * evens shards out by count. Time passes only when somebody waits.
 */
import { type ClusterApi, ClusterApiError, type Status, type WishMethod } from "../../../src/cli/cluster/ClusterApi.ts"
import type { Pace } from "../../../src/cli/cluster/Pace.ts"

interface Node {
  cordoned: boolean
  leaving: boolean
  connections: number
}

/** Looks that a hand-over takes. */
const handOverLooks = 3
/** Of a leaving edge's clients, each look. */
const goneShare = 0.4

export class FakeCluster implements ClusterApi, Pace {
  readonly nodes = new Map<string, Node>()
  readonly holders: Array<string>
  readonly loads: Array<number>
  readonly moves = new Map<number, { readonly to: string; looks: number }>()
  readonly wishes: Array<string> = []
  /** Calls that fail from now on. */
  failing = 0
  mostMoving = 0
  #now = 0

  /** Shard 1 … on these nodes. */
  constructor(holders: ReadonlyArray<string>, loads: ReadonlyArray<number> = [], connections = 100) {
    this.holders = [...holders]
    this.loads = holders.map((_, at) => loads[at] ?? 0)
    for (const name of new Set(holders)) this.nodes.set(name, { cordoned: false, leaving: false, connections })
  }

  add(name: string): void {
    this.nodes.set(name, { cordoned: false, leaving: false, connections: 0 })
  }

  now = () => this.#now
  sleep = (ms: number): Promise<void> => {
    this.#now += ms
    return Promise.resolve()
  }

  status = (): Promise<Status> => {
    if (this.failing-- > 0) return Promise.reject(new ClusterApiError("the leases can't be reached now", true))
    this.#turn()
    const held = (name: string) => this.holders.filter((holder) => holder === name).length
    const loadOf = (name: string) =>
      this.holders.reduce((sum, holder, at) => sum + (holder === name ? (this.loads[at] ?? 0) : 0), 0)
    return Promise.resolve({
      cluster: "fake",
      runners: [...this.nodes].map(([runner, { cordoned }]) => ({
        runner,
        cordoned,
        state: "active" as const,
        shards: held(runner),
        load: loadOf(runner),
        heard_ms: 1
      })),
      edges: [...this.nodes].map(([edge, { connections, leaving }]) => ({
        edge,
        url: `http://${edge}`,
        zone: "",
        connections,
        open: !leaving,
        heard_ms: 1
      })),
      shards: this.holders.map((runner, at) => ({
        shard: at + 1,
        runner,
        epoch: 1,
        load: this.loads[at] ?? 0,
        hot: false,
        balanced: false,
        wanted: this.moves.get(at + 1)?.to ?? ""
      }))
    })
  }

  wish = (method: WishMethod, path: string): Promise<void> => {
    this.wishes.push(`${method} ${path}`)
    const [, , , what = "", name = "", , to = ""] = path.split("/")
    const node = this.nodes.get(name)
    if (what === "shards" && method === "PUT") this.moves.set(Number(name), { to, looks: 0 })
    else if (what === "shards") this.moves.delete(Number(name))
    else if (node === undefined) return Promise.reject(new ClusterApiError(`there is no ${name}`, false))
    else if (what === "runners") node.cordoned = method === "PUT"
    else node.leaving = method === "PUT"
    return Promise.resolve()
  }

  #turn(): void {
    let moving = 0
    for (const [shard, move] of this.moves) {
      if (this.holders[shard - 1] === move.to) continue
      moving++
      if (++move.looks >= handOverLooks) this.holders[shard - 1] = move.to
    }
    this.mostMoving = Math.max(this.mostMoving, moving)
    for (const node of this.nodes.values()) {
      if (node.leaving) node.connections = Math.floor(node.connections * goneShare)
    }
  }
}
