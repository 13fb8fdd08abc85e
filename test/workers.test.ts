/**
 * Roles over processes: a node that runs shards, an edge, and two workers that write behind, each with the permissions of
 * its role at NATS and no others, under load. Workers are killed, one after the other and both, and the runner as well; an
 * event that can't be written is parked by one worker and written by another, both asked for at the edge. At the end the
 * checker looks at all that anybody was ever told.
 */
import { mkdtempSync, readFileSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import type { Client } from "cassandra-driver"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { grantsOf, type Role } from "@parley/node/NatsGrants"
import { makeClient } from "@parley/storage/cassandra/CassandraClient"
import { type LocalCluster, startCluster } from "../infra/cluster/LocalNodes.ts"
import { nodeName } from "../infra/cluster/NodePlaces.ts"
import { localCluster, permissionsOf } from "../infra/cluster/NodeUsers.ts"
import { tail } from "../infra/services/Readiness.ts"
import { buildFlags } from "./faults/Builds.ts"
import { callNode, type Parked } from "./faults/ClusterCalls.ts"
import { faultEnvironment } from "./faults/Faults.ts"
import { Random } from "./harness/Random.ts"
import { expectSound, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { RawClient } from "./wire/RawClient.ts"
import { tokenFor } from "./wire/Tokens.ts"

const startMsMax = 400_000
const testMsMax = 200_000
/** Until it shows: a lease, what the persister gathers, and a busy machine. */
const showsMsMax = 60_000
const shards = 16
const streams = 2

const roles: ReadonlyArray<Role> = ["runner", "edge", "worker", "worker"]
const [runner, edge, one, two] = [0, 1, 2, 3] as const
const settings: ReadonlyArray<string> = ["edge,runner", "edge", "worker", "worker"]
const poisonText = "poison-pill"

const folder = mkdtempSync(join(tmpdir(), "parley-workers-"))
const random = Random.fromEnvironment()
const urlOf = (index: number): string => cluster.place(index).url
const workload = new Workload({
  random,
  url: () => urlOf(random.pick([runner, edge]) ?? edge),
  mutationsMax: 4_000,
  lasting: true,
  pauseMs: 100,
  tag: "w"
})
/** Of one who is not of the team, so that nobody edits or deletes what is looked for in the store. */
const channels = Array.from({ length: 12 }, (_, at) => `group:looked-at-${at}`)
let writer: RawClient
let cluster: LocalCluster
let cassandra: Client

beforeAll(async () => {
  cluster = await startCluster({
    data: folder,
    count: roles.length,
    port: 0,
    services: {
      nats: {
        nodes: 1,
        users: (password) =>
          roles.map((role, index) => {
            const node = nodeName(index)
            const grants = grantsOf(role, { cluster: localCluster, node, streams })
            return { user: node, password, permissions: permissionsOf(grants) }
          })
      },
      cassandra: { nodes: 1, brief: true }
    },
    environment: {
      ...faultEnvironment,
      PARLEY_SHARDS: String(shards),
      PARLEY_LOG_STREAMS: String(streams),
      PARLEY_LOG_REPLICAS: "1",
      PARLEY_UNSAFE_LOG: "true"
    },
    environmentOf: (index) => ({ PARLEY_ROLES: settings[index] ?? "" })
  })
  const { cassandraContactPoints = [], cassandraDatacenter = "datacenter1" } = cluster.services.state
  const keyspace = "parley"
  const options = { contactPoints: cassandraContactPoints, localDatacenter: cassandraDatacenter, replication: {} }
  cassandra = makeClient({ ...options, keyspace }, keyspace)
  writer = await RawClient.open(urlOf(edge))
  expect(
    (await writer.request("hello", { token: await tokenFor(urlOf(edge), "writer"), device: "d" }))["ok"]
  ).toBeDefined()
  await change(channels.map((channel) => ["create", { channel, name: "n", members: [] }]))
  await workload.prepare()
  workload.begin()
}, startMsMax)
afterAll(async () => {
  writer?.socket.terminate()
  await workload.stop()
  await cassandra?.shutdown()
  await cluster?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}, startMsMax)

const until = async <A>(what: string, look: () => Promise<A>, holds: (seen: A) => boolean): Promise<A> => {
  let seen: unknown
  for (const end = performance.now() + showsMsMax; performance.now() < end; await delay(100)) {
    try {
      const now = await look()
      if (holds(now)) return now
      seen = now
    } catch (error) {
      seen = error
    }
  }
  throw new Error(`${what}: not within ${showsMsMax} ms, but ${JSON.stringify(seen)}; ${String(seen)}`)
}

const metric = async (index: number, name: string): Promise<number> => {
  const text = await (await fetch(`${urlOf(index)}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1] ?? Number.NaN)
}
const worked = (index: number) => metric(index, "parley_shards_worked")
const readiness = async (index: number): Promise<string> => (await fetch(`${urlOf(index)}/readyz`)).text()

/** Each until it is acknowledged. */
const change = (changes: ReadonlyArray<readonly [op: string, fields: object]>): Promise<ReadonlyArray<void>> =>
  Promise.all(
    changes.map(async ([op, fields]) => {
      const mutation = { ...fields, cid: newClientId() }
      for (;;) {
        const { error, ok } = await writer.request(op, mutation)
        if (ok !== undefined) return
        if (error?.retryable !== true) throw new Error(JSON.stringify(error))
        await delay(100)
      }
    })
  )

const sendTo = (to: ReadonlyArray<string>, text: string) => change(to.map((channel) => ["send", { channel, text }]))
const sendEverywhere = (text: string) => sendTo(channels, text)

/** Of how many channels Cassandra has a message that says so. */
const storedIn = async (text: string): Promise<number> => {
  let count = 0
  for (const channel of channels) {
    const { rows } = await cassandra.execute("SELECT body FROM messages WHERE channel = ? AND bucket = 0", [channel])
    if (rows.some((row) => String(row["body"]).includes(text))) count++
  }
  return count
}
const allStored = (text: string) =>
  until(
    `"${text}" of all channels is in Cassandra`,
    () => storedIn(text),
    (count) => count === channels.length
  )

describe("a cluster with workers in processes of their own", () => {
  it.runIf(process.platform === "linux")(
    "each has a session of its own: Linux shares the cores out by session first, and not one process for all nodes",
    () => {
      const sessions = cluster.nodes.map(({ pid }) => {
        // Behind the name in brackets: state, parent, group, session.
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3])
      })
      expect(sessions).toEqual(cluster.nodes.map(({ pid }) => pid))
    }
  )

  it("†32 writes behind by them alone, and by the other one when one is killed", { timeout: testMsMax }, async () => {
    expect(await workload.untilAcked(100, 60_000)).toBe(true)
    await until(
      "both workers share all shards",
      () => Promise.all([worked(runner), worked(one), worked(two)]),
      (counts) => counts.join() === `0,${shards / 2},${shards / 2}`
    )
    await sendEverywhere("by both of them")
    await allStored("by both of them")
    await cluster.killNode(one)
    await sendEverywhere("by the one that is left")
    await allStored("by the one that is left")
    expect(await Promise.all([worked(runner), worked(two)])).toEqual([0, shards])
    expect(await callNode(urlOf(edge), "GET", "/v1/cluster")).toMatchObject({ workers: [{ shards }] })
  })

  it("writes behind in the runner while no worker lives, and says so", { timeout: testMsMax }, async () => {
    await cluster.killNode(two)
    await sendEverywhere("by nobody else")
    await allStored("by nobody else")
    expect(await readiness(runner)).toContain("no worker lives")
    expect(await worked(runner)).toBe(shards)
    await cluster.startNode(one, { nodeFlags: buildFlags("poison") })
    await until(
      "the worker has all shards",
      () => Promise.all([worked(runner), worked(one)]),
      (counts) => counts.join() === `0,${shards}`
    )
    expect(await readiness(runner)).not.toContain("no worker lives")
  })

  it("†26 parks in one worker and retries in another, as told at the edge", { timeout: testMsMax }, async () => {
    const listed = async () =>
      // as: what the server's own schema says
      ((await callNode(urlOf(edge), "GET", "/v1/parked")) as { readonly events: ReadonlyArray<Parked> }).events
    const [channel = ""] = channels
    await sendTo([channel], poisonText)
    const [parked] = await until("the event is parked", listed, (events) => events.length > 0)
    const shown = await writer.request("history", { channel, after: (parked?.seq ?? 0) - 1, limit: 1 })
    expect(JSON.stringify(shown)).toContain(poisonText)
    await cluster.startNode(two)
    await cluster.stopNode(one)
    await until(
      "the other one has all shards",
      () => worked(two),
      (count) => count === shards
    )
    const retry = `/v1/parked/persister/channel/${encodeURIComponent(channel)}/retry`
    await until(
      "it was tried again",
      () => callNode(urlOf(edge), "POST", retry),
      () => true
    )
    expect(await listed()).toEqual([])
    await until(
      "it is in Cassandra",
      () => storedIn(poisonText),
      (count) => count === 1
    )
  })

  it("†24 loses nothing with its runner, and takes no log for an older one", { timeout: testMsMax }, async () => {
    await until(
      "the store knows how far the logs have come",
      async () => (await cassandra.execute("SELECT shard FROM log_places")).rowLength,
      (count) => count === shards
    )
    await sendEverywhere("before the end of the runner")
    await cluster.killNode(runner)
    await cluster.startNode(runner)
    await sendEverywhere("after it")
    await allStored("after it")
    const said = await readiness(runner)
    expect(said).toContain('"ready":true')
    expect(said).not.toContain("out of service")
    expect(await metric(runner, "parley_shards_quarantined")).toBe(0)
    await workload.end(30_000)
    const { nodes } = cluster
    expectSound(
      await verdict(
        workload,
        () => ({
          url: urlOf(edge),
          servers: nodes.map(({ url }) => url),
          output: nodes.map(({ log }) => tail(log, 30).join("\n")).join("\n")
        }),
        random,
        60_000
      )
    )
  })

  it("never tries at NATS what its roles may not", () => {
    const logs = cluster.services.state.nodes.filter(({ service }) => service === "nats")
    expect(logs.length).toBeGreaterThan(0)
    for (const { launch } of logs) expect(readFileSync(launch.log, "utf8")).not.toMatch(/violation/i)
  })
})
