/**
 * What a role may do at NATS, on real servers: a cluster whose users have nothing but their role's permissions works
 * whole, and whoever breaks into an edge gets no further than that edge.
 */
import type { NatsConnection } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { clusterApiAt } from "../../src/cli/cluster/ClusterApi.ts"
import { clientId, type Frame, type TestClient, until } from "../edge/EdgeHarness.ts"
import { prefix, type RoleCluster, startRoleCluster, streams } from "./RoleCluster.ts"

/** All of so many at one of two would be a wonder. */
const sharedClientsMax = 200
const refused = /permissions violation/i
const bucket = `${prefix}-leases`

let cluster: RoleCluster
beforeAll(async () => {
  cluster = await startRoleCluster()
}, 120_000)
afterAll(() => cluster[Symbol.asyncDispose]())

const untilAsync = async (holds: () => Promise<boolean>): Promise<void> => {
  for (const end = performance.now() + 20_000; !(await holds());) {
    if (performance.now() > end) throw new Error("not within 20 s")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** What the server says of an act: it answers in order, so a refusal comes before the answer to a later ping. */
const answerTo = async (connection: NatsConnection, act: () => void): Promise<string> => {
  const said: Array<string> = []
  const statuses = connection.status()[Symbol.asyncIterator]()
  const listen = (): unknown =>
    statuses.next().then(({ done, value }) => {
      if (done === true) return undefined
      if (value.type === "error") said.push(value.error.message)
      return listen()
    })
  listen()
  act()
  await connection.flush()
  await connection.flush()
  return said.join("; ")
}

const publish = (connection: NatsConnection, subject: string): Promise<string> =>
  answerTo(connection, () => connection.publish(subject, "x"))

const subscribe = (connection: NatsConnection, subject: string): Promise<string> =>
  answerTo(connection, () => void connection.subscribe(subject, { callback: () => {} }))

const lastOf = (bucket: string, key: string) => JSON.stringify({ last_by_subj: `$KV.${bucket}.${key}` })

describe("a cluster whose users have the permissions of their roles and no others", () => {
  it("works whole: calls, live delivery, sync, presence and inspection, over edges that have no shards", async () => {
    const ann = await cluster.nodes.e1.join("ann")
    const bob = await cluster.nodes.e2.join("bob")
    const channel = "group:roles"
    const made = await ann.request("create", { channel, cid: clientId(), name: "n", members: ["bob"] })
    expect(made["ok"]).toBeDefined()
    const sent = await ann.request("send", { channel, cid: clientId(), text: "hello", mentions: ["bob"] })
    expect(sent["ok"]).toBeDefined()
    await bob.pushed((frame) => JSON.stringify(frame).includes("hello"))
    expect((await bob.request("read", { channel, seq: sent["ok"].seq }))["ok"]).toBeDefined()
    expect((await bob.request("history", { channel, after: 0, limit: 10 }))["ok"]).toBeDefined()
    await ann.request("presence_watch", { users: ["bob"] })
    await until(() => ann.frames.some((frame: Frame) => JSON.stringify(frame).includes('"bob"')))
    const metrics = async (http: string) => (await fetch(`${http}/metrics`)).text()
    await untilAsync(async () => /^parley_unstored 0$/m.test(await metrics(cluster.nodes.r1.http)))
    expect(await (await fetch(`${cluster.worker.http}/livez`)).json()).toEqual({ alive: true })
    expect((await fetch(`${cluster.worker.http}/v1/edges`)).status).toBe(404)
    for (const { http } of [...Object.values(cluster.nodes), cluster.worker]) {
      const ready = await fetch(`${http}/readyz`)
      const health = await ready.text()
      expect([ready.status, health]).toEqual([200, health])
      // Each server was asked through the system account whether it syncs: one copy is all that is wrong here.
      for (const said of JSON.parse(health).degraded ?? []) expect(said).toMatch(/replica/)
    }
    const inspected = await fetch(`${cluster.nodes.e1.http}/v1/inspect/channel/${channel}`, {
      headers: { authorization: `Bearer ${cluster.operatorKey()}` }
    })
    expect(await inspected.text()).toContain(channel)
    const parked = await fetch(`${cluster.nodes.e1.http}/v1/parked`, {
      headers: { authorization: `Bearer ${cluster.operatorKey()}` }
    })
    expect(await parked.json()).toEqual({ events: [] })
    const late = await cluster.nodes.r1.join("bob")
    expect((await late.request("history", { channel, after: 0, limit: 10 }))["ok"]).toBeDefined()
    for (const client of [ann, bob, late]) client.socket.terminate()
    // Nobody has tried what he may not: permissions that are missing would show here, and nowhere else as clearly.
    expect(cluster.natsLog()).not.toMatch(/violation/i)
  })

  it("may have several edges on one port, among which the kernel shares the connections out", async () => {
    const { e2, e3 } = cluster.nodes
    expect(e3.http).toBe(e2.http)
    const api = clusterApiAt(cluster.nodes.e1.http, cluster.operatorKey())
    const isTaken = async () => {
      const { edges } = await api.status()
      return ["e2/", "e3/"].every((name) =>
        edges.some(({ connections = 0, edge }) => edge.startsWith(name) && connections > 0)
      )
    }
    const clients: Array<TestClient> = []
    try {
      // The kernel decides by the addresses of both ends; edges say once a second what they have.
      while (!(await isTaken())) {
        if (clients.length === sharedClientsMax) throw new Error(JSON.stringify(await api.status()))
        clients.push(await e2.join(`shared${clients.length}`))
      }
      const [first] = clients
      const channel = "group:shared"
      const members = clients.map((_, index) => `shared${index}`)
      expect((await first?.request("create", { channel, cid: clientId(), name: "n", members }))?.["ok"]).toBeDefined()
      await first?.request("send", { channel, cid: clientId(), text: "to all of them", mentions: [] })
      await Promise.all(
        clients.slice(1).map((client) => client.pushed((frame) => JSON.stringify(frame).includes("to all of them")))
      )
    } finally {
      for (const { socket } of clients) socket.terminate()
    }
  })

  it("lets nobody in without a certificate of its authority, whatever key he has", async () => {
    const strangers = [cluster.connectWith("none"), cluster.connectWith("foreign")]
    await Promise.all(strangers.map((connecting) => expect(connecting).rejects.toThrow(/\S/)))
    await (await cluster.connectWith("own")).close()
  })
})

describe("whoever breaks into an edge", () => {
  let edge: NatsConnection
  beforeAll(async () => {
    edge = await cluster.breakInto("e1")
  })

  it("can't write to the log, to leases, positions or what the cluster has agreed on", async () => {
    const subjects = [
      `${prefix}.log.0.2`,
      `${prefix}.log.1.1`,
      `$KV.${bucket}.shard.1`,
      `$KV.${bucket}.runner.r1`,
      `$KV.${bucket}.cordon.r1`,
      `$KV.${prefix}-positions.persister.1`,
      `$KV.${prefix}-cluster.map`
    ]
    for (const subject of subjects) expect(await publish(edge, subject)).toMatch(refused)
  })

  it("can't read the log, cut it, or change what holds log and leases", async () => {
    const api = ["STREAM.MSG.GET", "DIRECT.GET", "STREAM.PURGE", "STREAM.DELETE", "STREAM.UPDATE", "STREAM.SNAPSHOT"]
    for (let stream = 0; stream < streams; stream++) {
      for (const what of api) {
        expect(await publish(edge, `$JS.API.${what}.${prefix}-log-${stream}`)).toMatch(refused)
      }
      expect(await publish(edge, `$JS.API.CONSUMER.CREATE.${prefix}-log-${stream}.spy`)).toMatch(refused)
    }
    for (const what of api.slice(2)) expect(await publish(edge, `$JS.API.${what}.KV_${bucket}`)).toMatch(refused)
    expect(await subscribe(edge, `${prefix}.log.>`)).toMatch(refused)
  })

  it("can't hear what other nodes are asked, answered or sent", async () => {
    const subjects = [
      `${prefix}.in.e2.>`,
      `${prefix}.in.*.>`,
      `${prefix}.edge.e2.*`,
      `${prefix}.edge.>`,
      `${prefix}.run.*`,
      `${prefix}.entities.*`,
      "_INBOX.>",
      "$KV.>",
      ">"
    ]
    for (const subject of subjects) expect(await subscribe(edge, subject)).toMatch(refused)
  })

  it("can't speak for a runner: no answers, no live delivery, no hints, no word of what is owned", async () => {
    for (const subject of [`${prefix}.in.e2.x`, `${prefix}.edge.e2.x`, `${prefix}.owned`, `${prefix}.hint`]) {
      expect(await publish(edge, subject)).toMatch(refused)
    }
  })

  it("reads who owns what, as it needs to", async () => {
    const answer = await edge.request(`$JS.API.STREAM.MSG.GET.KV_${bucket}`, lastOf(bucket, "shard.1"))
    const { message } = answer.json<{ readonly message: { readonly data: string } }>()
    expect(Buffer.from(message.data, "base64").toString()).toContain("r1")
    await expect(edge.request(`$KV.${bucket}.shard.1`, "{}")).rejects.toThrow(refused)
    // Where the log would have shown it had the cluster missed a permission above.
    expect(cluster.natsLog()).toMatch(/violation/i)
  })
})

describe("whoever breaks into a worker", () => {
  let worker: NatsConnection
  beforeAll(async () => {
    worker = await cluster.breakInto("w1")
  })

  it("can't write to the log, to leases or in another worker's name, nor answer calls or deliver", async () => {
    const subjects = [
      `${prefix}.log.0.2`,
      `$KV.${bucket}.shard.1`,
      `$KV.${bucket}.runner.r1`,
      `$KV.${bucket}.worker.w2.x`,
      `$KV.${bucket}.cordon.r1`,
      `$KV.${prefix}-cluster.map`,
      `${prefix}.in.e2.x`,
      `${prefix}.in.e2.x.y`,
      `${prefix}.edge.e2.x`,
      `${prefix}.owned`,
      `${prefix}.entities.r1`
    ]
    for (const subject of subjects) expect(await publish(worker, subject)).toMatch(refused)
  })

  it("can't make, change or delete what holds log, positions and leases, but for cutting the log", async () => {
    for (const stream of [`${prefix}-log-0`, `KV_${prefix}-positions`, `KV_${bucket}`]) {
      for (const what of ["STREAM.CREATE", "STREAM.UPDATE", "STREAM.DELETE", "STREAM.MSG.DELETE", "STREAM.RESTORE"]) {
        expect(await publish(worker, `$JS.API.${what}.${stream}`)).toMatch(refused)
      }
    }
    expect(await publish(worker, `$JS.API.STREAM.PURGE.KV_${bucket}`)).toMatch(refused)
  })

  it("can't hear calls, links, other nodes' answers, or what other workers are asked", async () => {
    const subjects = [`${prefix}.run.*`, `${prefix}.edge.e2.*`, `${prefix}.in.e2.>`, `${prefix}.work.>`, "$KV.>"]
    for (const subject of subjects) expect(await subscribe(worker, subject)).toMatch(refused)
  })
})

describe("whoever breaks into a node that runs shards", () => {
  it("can't delete the log or single records of it, nor hear what other nodes are answered", async () => {
    const runner = await cluster.breakInto("r1")
    const log = `${prefix}-log-0`
    for (const what of ["STREAM.DELETE", "STREAM.MSG.DELETE", "STREAM.RESTORE"]) {
      expect(await publish(runner, `$JS.API.${what}.${log}`)).toMatch(refused)
    }
    expect(await subscribe(runner, `${prefix}.in.e2.>`)).toMatch(refused)
    expect(await subscribe(runner, `${prefix}.edge.e2.*`)).toMatch(refused)
    expect((await runner.request(`$JS.API.STREAM.INFO.${log}`)).string()).toContain(`"name":"${log}"`)
  })
})
