/** What operators see of a cluster and have it do, each a look at one that runs. It is as it was when a look is over. */
import { expect } from "vitest"
import type { LocalCluster } from "../../infra/cluster/LocalNodes.ts"
import { leavingPath } from "@parley/node/cli/cluster/ClusterApi"
import { Operator, runnerOf } from "./Operator.ts"

/** Leases, heartbeats and words of edges are a second apart. */
const seenMsMax = 60_000

export const operatorLooks: ReadonlyArray<{
  readonly name: string
  readonly look: (cluster: LocalCluster) => Promise<void>
}> = [
  {
    name: "every node shows the same runners, shards and edges, to who has its key",
    look: async (cluster) => {
      const operators = Array.from({ length: cluster.count }, (_, index) => new Operator(cluster, index))
      for (const operator of operators) {
        await operator.until(
          "a whole cluster",
          seenMsMax,
          ({ edges, runners, shards }) =>
            runners.filter(({ state }) => state === "active").length === cluster.count &&
            edges.filter(({ open }) => open).length === cluster.count &&
            shards.every(({ runner }) => runner !== "")
        )
      }
      // Shards still move while a cluster is new: they show the same once nothing does.
      const seen = async () => {
        const states = await Promise.all(operators.map(({ api }) => api.status()))
        const views = states.map(({ edges, shards }) => ({
          edges: edges.map(({ edge }) => edge),
          shards: shards.map(({ runner, shard }) => [shard, runner])
        }))
        return new Set(views.map((view) => JSON.stringify(view))).size
      }
      await expect.poll(seen, { timeout: seenMsMax }).toBe(1)
      const said = await operators[0]?.parley("status")
      expect([said?.code, said?.error]).toEqual([0, ""])
      expect(said?.out).toMatch(/^cluster local\nrunner node-1-[0-9a-f]{12} {2}active {2}\d+ shards {2}load /)
      expect(said?.out).toMatch(/\nedge node-3\/[0-9a-f]{12} {2}open {2}\d+ connections {2}http:\/\//)
      const url = `${cluster.place(0).url}/v1/cluster`
      expect((await fetch(url)).status).toBe(401)
      expect((await fetch(url, { headers: { authorization: "Bearer nothing" } })).status).toBe(401)
    }
  },
  {
    name: "every node names all edges to clients, but none that leaves",
    look: async (cluster) => {
      const all = Array.from({ length: cluster.count }, (_, index) => cluster.place(index).url).sort()
      const named = async (index: number): Promise<ReadonlyArray<string>> => {
        // as: the API's answer
        const answer = (await (await fetch(`${cluster.place(index).url}/v1/edges`)).json()) as {
          edges: ReadonlyArray<{ url: string }>
        }
        return answer.edges.map(({ url }) => url).sort()
      }
      const operator = new Operator(cluster, 0)
      const last = cluster.place(cluster.count - 1)
      const edgeOf = async () =>
        (await operator.api.status()).edges.find(({ edge }) => edge.startsWith(`${last.name}/`))?.edge ?? ""
      const waitFor = async (wanted: ReadonlyArray<string>) => {
        for (let index = 0; index < cluster.count; index++) {
          await expect.poll(() => named(index), { timeout: seenMsMax }).toEqual(wanted)
        }
      }
      await waitFor(all)
      await operator.api.wish("PUT", leavingPath(await edgeOf()))
      await waitFor(all.filter((url) => url !== last.url))
      await operator.api.wish("DELETE", leavingPath(await edgeOf()))
      await waitFor(all)
      await expect(operator.api.wish("PUT", "/v1/cluster/edges/nobody/leaving")).rejects.toThrow(
        "there is no edge nobody"
      )
    }
  },
  {
    name: "a shard goes where it is moved and stays until it is released; a cordoned runner gets none",
    look: async (cluster) => {
      const operator = new Operator(cluster, 0)
      const first = await operator.api.status()
      const [from, to] = [runnerOf(first, "node-1"), runnerOf(first, "node-2")]
      const own = first.shards.filter(({ runner }) => runner === from)
      const shard = own[0]?.shard ?? 0
      const holder = (wanted: string, wish: string) =>
        operator.until(`shard ${shard} at ${wanted}`, seenMsMax, ({ shards }) =>
          shards.some((it) => it.shard === shard && it.runner === wanted && it.wanted === wish)
        )
      expect(await operator.parley("move", String(shard), to)).toMatchObject({ code: 0, out: "done\n" })
      await holder(to, to)
      await operator.api.wish("PUT", `/v1/cluster/runners/${from}/cordon`)
      await operator.until("cordon", seenMsMax, ({ runners }) =>
        runners.some(({ cordoned, runner }) => runner === from && cordoned)
      )
      await operator.api.wish("DELETE", `/v1/cluster/shards/${shard}/runner`)
      await holder(to, "")
      await operator.api.wish("DELETE", `/v1/cluster/runners/${from}/cordon`)
      // It counts again, and gets back to what is even.
      await operator.until("evenness", seenMsMax, ({ runners }) => {
        const counts = runners.filter(({ state }) => state === "active").map(({ shards }) => shards)
        return Math.max(...counts) - Math.min(...counts) <= 1
      })
      expect(await operator.parley("move", "999", to)).toMatchObject({
        code: 1,
        error: expect.stringContaining("shard 999 is not one of")
      })
      expect(await operator.parley("cordon", "nobody")).toMatchObject({
        code: 1,
        error: expect.stringContaining("there is no runner nobody")
      })
    }
  }
]
