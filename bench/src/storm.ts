/**
 * A node dies and its clients move: three nodes, all clients that may be dropped at one of them, messages meanwhile, then
 * `kill -9`: their edge is gone, and with it the owner of a third of their sessions and channels. Each comes back at another
 * node as a client does, resumes by the positions it holds, and must then have every channel without a hole up to the last
 * acknowledged message. Measured: until the last one has resumed, what was read from Cassandra for it, and how many attaches
 * the edges made. Beside it, the same clients dropped and resumed with all nodes there.
 */
import { BenchCluster, benchShards } from "./cluster/BenchCluster.ts"
import { Rows } from "./cluster/Rows.ts"
import { Herd, type HerdShape } from "./load/Herd.ts"
import { pause, report, round, say } from "./Report.ts"
import { stoppedPorts, watchCpu } from "./Servers.ts"
import { sized } from "./Sizes.ts"

const nodes = 3
const victim = nodes - 1
const shape: HerdShape = { users: sized(10_000, 400), channelsEach: 10, membersEach: 20, senders: sized(40, 20) }
const sendsPerSecond = sized(400, 100)
const awayMs = sized(3_000, 1_000)
const resumeMsMax = 30_000
const readsPerClientMax = 0.05

export const bench = async (): Promise<void> => {
  await using bench = await BenchCluster.start({ nodes })
  let dead = false
  let turn = 0
  const targetOf = (user: number) => ({
    // Who sends is at the nodes that stay; the others are all at the one that dies.
    port: bench.portOf(user < shape.senders ? user % victim : dead ? turn++ % victim : victim),
    baseline: false
  })
  await Herd.create((user) => ({ port: bench.portOf(user % nodes), baseline: false }), shape)
  const herd = await Herd.open(targetOf, shape)
  const moving = shape.users - shape.senders
  say(`${shape.users} clients are live in ${shape.channelsEach} channels each, ${moving} of them at one node`)
  const rows = await Rows.open(bench.cluster.services.state)
  const atRest = await rows.reads()
  const quiet = await herd.dropAndResume()
  const quietReads = since(atRest, await rows.reads())
  say(`all nodes there: ${JSON.stringify(quiet)}`)
  await pause(2_000)

  herd.startSends(sendsPerSecond)
  await pause(awayMs)
  herd.drop()
  await pause(awayMs)
  await herd.stopSends()
  const owners = await bench.untilOwned(nodes)
  const shards = owners.filter((owner) => owner === victim).length
  stoppedPorts.add(bench.portOf(victim))
  const before = { reads: await rows.reads(), attaches: await attaches(bench) }
  const cpu = watchCpu(bench)
  dead = true
  await bench.cluster.killNode(victim)
  const moved = await herd.resume()
  const { generator, serverSeconds } = cpu()
  await herd.settled()
  // All that was read until everybody had everything again, whoever asked: resumes, takeovers, the persister.
  const readsByTable = since(before.reads, await rows.reads())
  const reads = sum(readsByTable)
  const after = await attaches(bench)
  herd.close()
  await rows.close()
  const readsPerClient = reads / moving
  report({
    bench: "storm",
    value: round(moved.lastMs / 1_000, 2),
    unit: "s from kill -9 until all resumed elsewhere",
    baseline: round(quiet.lastMs / 1_000, 2),
    ratio: round(moved.lastMs / quiet.lastMs, 2),
    target: `value <= ${resumeMsMax / 1_000} s, Cassandra reads a client <= ${readsPerClientMax}`,
    pass: moved.lastMs <= resumeMsMax && readsPerClient <= readsPerClientMax,
    clients: moving,
    shards_of_the_dead_node: shards,
    p50_resume_ms: round(moved.p50Ms),
    refused_and_retried: moved.refused,
    syncs_again: moved.again,
    cassandra_reads: reads,
    cassandra_reads_per_client: round(readsPerClient, 3),
    cassandra_reads_by_table: readsByTable,
    cassandra_reads_with_all_nodes_there: sum(quietReads),
    // Of the two edges that stay, for all shards: one a shard and edge where all that comes in one turn is one.
    attaches_per_edge_and_shard: round((after.attaches - before.attaches.attaches) / (victim * benchShards), 1),
    attach_parts: after.parts - before.attaches.parts,
    cpu_ms_per_resume: round((serverSeconds * 1_000) / moving, 2),
    events_checked: herd.events,
    generator_cpu: round(generator, 2)
  })
}

const since = (before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): Record<string, number> => {
  const more = [...after].map(([table, count]) => [table, count - (before.get(table) ?? 0)] as const)
  return Object.fromEntries(more.filter(([, count]) => count > 0).toSorted(([, a], [, b]) => b - a))
}

const sum = (byTable: Readonly<Record<string, number>>): number =>
  Object.values(byTable).reduce((all, count) => all + count, 0)

/** Of the nodes that stay. */
const attaches = async (bench: BenchCluster) => {
  const sum = { attaches: 0, parts: 0 }
  for (const { name, url } of bench.cluster.nodes) {
    if (name === bench.cluster.place(victim).name) continue
    const text = await (await fetch(`${url}/metrics`)).text()
    for (const line of text.split("\n")) {
      const found = /^parley_bus_attaches_total\{.*as="(attaches|parts)".*\} (\S+)/.exec(line)
      if (found?.[1] === "attaches") sum.attaches += Number(found[2])
      if (found?.[1] === "parts") sum.parts += Number(found[2])
    }
  }
  return sum
}
