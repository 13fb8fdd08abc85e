/**
 * One run: a small cluster, its clients and what goes wrong, all from one seed. The clients work while the adversary does,
 * then everything is healed, and at the end it is checked that no promise was broken.
 */
import { setTimeout as delay } from "node:timers/promises"
import { check } from "../checker/check.ts"
import { heal } from "../harness/Heal.ts"
import { Random } from "../harness/Random.ts"
import { Workload } from "../harness/Workload.ts"
import { Adversary } from "./Adversary.ts"
import { loseLog, watchPresence, writeParked } from "./Aftermath.ts"
import { clusterState, compareUnasked, isQuiet } from "./ClusterState.ts"
import { compareSessions, compareStores, type Found, readArchive } from "./LogTruth.ts"
import { shapeOf } from "./Shape.ts"
import { SimLog } from "./SimLog.ts"
import { SimNetwork } from "./SimNetwork.ts"
import { type Cluster, SimNode } from "./SimNode.ts"
import { SimPlacement } from "./SimPlacement.ts"
import { forgetSockets, line } from "./SimSocket.ts"
import { SimStores } from "./SimStores.ts"
import { StaleReads } from "./StaleReads.ts"
import { setActive, VirtualTime } from "./VirtualTime.ts"

/** 2026; each seed has a stretch of time of its own, so that nothing of an earlier run is of its time. */
const beginning = 1_770_000_000_000
const stretchMs = 10_000_000

const settleMsMax = 90_000
const endMsMax = 40_000
/** Until the persister and the member fan-out are at the log's end. */
const quietMsMax = 60_000
const quietPollMs = 200
/** Afterwards, for links and edges to find what they miss: past the time after which a shard counts as unlisted. */
const repairMs = 14_000
/** An answer of a log without any room may have been so long on its way. */
const roomMs = 20_000
/** Of the whole run. */
const runMsMax = 600_000

/** Tokens are not what is simulated: each is its user's name. */
Object.assign(globalThis, {
  fetch: (_url: string, { body }: { readonly body: string }) =>
    // as: what `developmentToken` asks
    Promise.resolve({ json: () => Promise.resolve({ token: (JSON.parse(body) as { readonly user: string }).user }) })
})

/** A request that a paused or unreachable server did not answer in time is no fault of the wire's. */
const unanswered = "was not answered within"

export interface SimulationOptions {
  readonly seed: number
  /** Nothing goes wrong. */
  readonly calm?: boolean
}

export interface SimulationResult {
  readonly seed: number
  readonly found: ReadonlyArray<Found>
  readonly acked: number
  readonly facts: number
  readonly tasks: number
  readonly simulatedMs: number
  /** Of all tasks and all facts: the same seed gives the same. */
  readonly hash: string
  /** What happened to the cluster, and what devices held where something is wrong. */
  readonly notes: ReadonlyArray<string>
}

export const simulate = async (options: SimulationOptions): Promise<SimulationResult> => {
  const { seed } = options
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ 0x2545f491)
  const time = new VirtualTime(seed, beginning + seed * stretchMs)
  setActive(time)
  forgetSockets()
  const shape = shapeOf(random)
  const found: Array<Found> = []
  const notes: Array<string> = [`shape ${JSON.stringify(shape)}`]
  const note = (what: string) => void notes.push(`${time.now.toFixed(0)} ${what}`)
  time.onUncaught = (error, process) => {
    found.push({
      invariant: "NO-DEFECT",
      what: `${process.name}: ${error instanceof Error ? error.stack : String(error)}`
    })
  }
  const seeded = (salt: number) => new Random(Math.imul(seed + salt, 0x85ebca6b) ^ salt)
  const network = new SimNetwork(time, seeded(1))
  line.delay = () => 0.2 + lineRandom.next() * 3
  const lineRandom = seeded(2)
  const { positions, shardCount } = shape
  const log = new SimLog({
    time,
    network,
    random: seeded(3),
    positions,
    softBytes: 50_000_000,
    hardBytes: 60_000_000,
    appendWaitMs: shape.appendWaitMs
  })
  const acked = new Map<string, number>()
  const nodes = new Map<string, SimNode>()
  const cluster: Cluster = {
    time,
    network,
    log,
    stores: new SimStores({ time, network, random: seeded(4), atomic: shape.atomicStores }),
    placement: new SimPlacement(time, network, shardCount),
    shardCount,
    bounds: shape.bounds,
    settings: { detachGraceMs: shape.detachGraceMs },
    staleReads: new StaleReads((channel) => acked.get(channel) ?? 0),
    nodes,
    edges: new Map(),
    note,
    lostShard: undefined,
    lostShardIsQuarantined: false,
    onQuarantined: (shard, what) => {
      note(`shard ${shard} is quarantined: ${what}`)
      if (shard === cluster.lostShard) {
        cluster.lostShardIsQuarantined = true
        return
      }
      found.push({ invariant: "NO-FALSE-ALARM", what: `shard ${shard} was quarantined: ${what}` })
    },
    onLogFull: (shard) => {
      if (!log.hadRoom(roomMs)) return
      found.push({ invariant: "FULL-LOG-TAKEOVER", what: `shard ${shard} could not be taken over at the soft bound` })
    }
  }
  const { poisonEvery } = shape
  if (poisonEvery > 0) {
    cluster.stores.poison = ({ kind, seq }) => (kind === "message" || kind === "edit") && seq % poisonEvery === 1
  }
  let starts = 0
  const start = (host: string): void => {
    const process = time.process(host, `${host}#${++starts}`)
    note(`${process.name} starts`)
    time.after(0, process, () => void nodes.set(host, new SimNode(cluster, process)))
  }
  const urls = seeded(5)
  const workload = new Workload({
    random: seeded(6),
    url: () => `http://${urls.pick(shape.hosts)}`,
    mutationsMax: shape.mutationsMax,
    pauseMs: shape.pauseMs,
    weights: { otherDay: 2, ...shape.busyWith }
  })
  const { recorder } = workload
  const add = recorder.add.bind(recorder)
  recorder.add = (fact) => {
    if (fact._tag === "Acked") acked.set(fact.channel, Math.max(acked.get(fact.channel) ?? 0, fact.seq))
    add(fact)
  }
  const adversary = new Adversary({ cluster, random: seeded(7), hosts: shape.hosts, start })

  const play = async (): Promise<void> => {
    for (const host of shape.hosts) start(host)
    await workload.prepare()
    // Each device has heard of its channels: one that has none only waits.
    await until(() => workload.devices.every(({ channels: known }) => known.size === workload.channels.length))
    note("prepared")
    if (options.calm !== true) adversary.begin()
    workload.begin()
    await delay(shape.troubleMs)
    adversary.heal()
    note("healed")
    await workload.end(endMsMax)
    note("no more is asked for")
    const url = () => `http://${shape.hosts[0]}`
    const { channels, devices } = workload
    await until(() => isQuiet(cluster))
    await delay(repairMs)
    note("quiet")
    await Promise.all(devices.map((device) => (device.watches ? undefined : device.look())))
    const before = devices.map((device) => device.view())
    if (process.env["PARLEY_SIM_WORD"] !== undefined) {
      notes.push(...clusterState(cluster))
      for (const device of devices) {
        notes.push(device.state(), device.lastFrames(process.env["PARLEY_SIM_WORD"]))
      }
    }
    // Who asks anew has all of it; who did not has all but what was shown to him in passing.
    for (const device of devices) device.drop()
    const servers = () => [] // all that is committed was waited for
    const final = await heal({ url, servers, devices, channels, owner: workload.owner, settleMsMax, quietMs: 0 })
    found.push(...compareUnasked(before, final))
    const history = recorder.facts.filter((fact) => fact._tag !== "Broken" || !fact.what.includes(unanswered))
    const violations = check(history, final)
    for (const { evidence, invariant, what } of violations) {
      found.push({ invariant, what: `${what} ${JSON.stringify(evidence).slice(0, 600)}` })
    }
    for (const { what, why } of final.unreadable) found.push({ invariant: "HEALS", what: `${what}: ${why}` })
    for (const stale of cluster.staleReads.found) {
      const { acknowledged, answered, asked, channel } = stale
      const what = `${asked} of ${channel} was answered as of ${answered}, ${acknowledged} was acknowledged before it was asked`
      found.push({ invariant: "NO-STALE-READ", what })
    }
    for (const what of cluster.staleReads.late) found.push({ invariant: "NO-STALE-READ", what })
    if (poisonEvery > 0) {
      found.push(...(await writeParked(cluster)))
      await until(() => isQuiet(cluster))
    }
    const contents = readArchive(log.archive)
    found.push(...contents.found, ...compareStores(contents, cluster.stores), ...compareSessions(contents, final))
    if (found.length === 0 && shape.then === "presence") {
      found.push(...(await watchPresence(cluster, seeded(8), devices, url)))
    }
    if (found.length === 0 && shape.then === "logLost") found.push(...(await loseLog(cluster, seeded(8), start)))
    if (found.length > 0) notes.push(...clusterState(cluster))
    if (found.length > 0) notes.push(...devices.map((device) => device.state()))
  }

  const until = async (condition: () => boolean): Promise<void> => {
    for (const end = time.now + quietMsMax; !condition() && time.now < end;) await delay(quietPollMs)
  }

  let done = false
  const clients = time.process("clients", "clients")
  time.after(0, clients, () => {
    play().then(
      () => (done = true),
      (error: unknown) => {
        time.onUncaught(error, clients)
        done = true
      }
    )
  })
  await time.run(() => done || time.now > runMsMax)
  if (!done) found.push({ invariant: "HEALS", what: `the run is not over after ${runMsMax} simulated ms` })
  for (const node of nodes.values()) node.process.alive = false
  const first = recorder.facts[0]?.connection ?? 0
  let hash = time.hash
  for (const fact of recorder.facts) {
    const text = JSON.stringify({ ...fact, connection: fact.connection - first })
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0
  }
  return {
    seed,
    found,
    acked: workload.acked,
    facts: recorder.facts.length,
    tasks: time.tasks,
    simulatedMs: time.now,
    hash: hash.toString(16),
    notes
  }
}
