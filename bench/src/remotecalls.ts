/**
 * A call to an owner in another process, over real NATS and back: CPU of both processes a call at 64 and at 256 in
 * flight, beside NATS's own request and reply of the same sizes between the same processes. The owner answers at once, so
 * that nothing but the way is measured. Needs PARLEY_TEST_NATS.
 */
import { type ChildProcess, fork } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { connect } from "@nats-io/transport-node"
import { Context, Effect, Layer } from "effect"
import { MemoryOwnerDirectory } from "@parley/actors/cluster/MemoryOwnerDirectory"
import { NatsBus } from "@parley/actors/cluster/NatsBus"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { codecCosts, sendOf } from "./remotecalls/CodecCost.ts"
import { ownerName, plainRequest, plainSubject, shardCount } from "./remotecalls/Shape.ts"
import { ascending, percentile, report, round, say } from "./Report.ts"
import { sized } from "./Sizes.ts"

const warmMs = sized(2_000, 500)
const measureMs = sized(6_000, 1_000)
const inFlights = [64, 256]
/** Of NATS's own request and reply: there is no call without a way, and coalescing pays for the rest. */
const ratioMax = 1

/** One call, which says when it is over. */
type Call = (done: () => void) => void

interface Cost {
  readonly perSecond: number
  readonly cpuUs: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const cpuOf = async (owner: ChildProcess): Promise<number> => {
  owner.send("cpu")
  const [usage] = await once(owner, "message")
  // What the owner's process sends when asked.
  const { system, user } = usage as NodeJS.CpuUsage
  const own = process.cpuUsage()
  return user + system + own.user + own.system
}

/** Keeps so many calls in flight for a while. */
const measure = async (owner: ChildProcess, call: Call, inFlight: number): Promise<Cost> => {
  const latencies: Array<number> = []
  let counting = false
  let running = true
  let left = inFlight
  const ended = new Promise<void>((resolve) => {
    const next = (): void => {
      if (!running) return --left === 0 ? resolve() : undefined
      const from = performance.now()
      call(() => {
        if (counting) latencies.push(performance.now() - from)
        next()
      })
    }
    for (let i = 0; i < inFlight; i++) next()
  })
  await new Promise((resolve) => setTimeout(resolve, warmMs))
  const cpuBefore = await cpuOf(owner)
  const from = performance.now()
  counting = true
  await new Promise((resolve) => setTimeout(resolve, measureMs))
  counting = false
  const took = performance.now() - from
  const cpu = (await cpuOf(owner)) - cpuBefore
  running = false
  await ended
  const sorted = ascending(latencies)
  return {
    perSecond: round((latencies.length * 1_000) / took, 0),
    cpuUs: round(cpu / latencies.length),
    p50Ms: round(percentile(sorted, 0.5), 2),
    p99Ms: round(percentile(sorted, 0.99), 2)
  }
}

export const bench = async (): Promise<void> => {
  const servers = process.env["PARLEY_TEST_NATS"]
  if (servers === undefined || servers === "") {
    throw new Error("PARLEY_TEST_NATS is not set: this bench needs real NATS servers, named as nats://host:port,…")
  }
  const [server = ""] = servers.split(",")
  const prefix = `bench-${randomBytes(6).toString("hex")}`
  const directory = new MemoryOwnerDirectory()
  for (let shard = 1; shard <= shardCount; shard++) directory.set(shard, { runner: ownerName, epoch: 1 })
  const owner = fork(new URL("./remotecalls/Owner.ts", import.meta.url), [server, prefix])
  try {
    await once(owner, "message")
    const nats = await connect({ servers: server })
    const links = await connect({ servers: server })
    const layer = NatsBus.layer({ calls: nats, links, prefix, shardCount }).pipe(Layer.provide(directory.layer))
    const measured = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const context = yield* Layer.build(layer)
          const calls = Context.get(context, OwnerCalls)
          const sends = Array.from({ length: 2_000 }, (_, i) => {
            const channel = `group:room-${i}`
            return { shard: calls.shardOf(channel), request: sendOf(channel) }
          })
          let turn = 0
          const remote: Call = (done) => {
            const send = sends[turn++ % sends.length]
            if (send !== undefined) calls.request(send.shard, send.request, done)
          }
          const plain: Call = (done) => {
            nats.request(plainSubject(prefix), plainRequest, { timeout: 10_000 }).then(done, done)
          }
          const costs: Array<{ readonly inFlight: number; readonly remote: Cost; readonly plain: Cost }> = []
          for (const inFlight of inFlights) {
            const cost = {
              inFlight,
              remote: yield* Effect.promise(() => measure(owner, remote, inFlight)),
              plain: yield* Effect.promise(() => measure(owner, plain, inFlight))
            }
            say(JSON.stringify(cost))
            costs.push(cost)
          }
          return costs
        })
      )
    )
    const value = Math.max(...measured.map(({ remote }) => remote.cpuUs))
    const baseline = Math.max(...measured.map(({ plain }) => plain.cpuUs))
    report({
      bench: "remotecalls",
      value,
      unit: "CPU µs a call, both processes",
      baseline,
      ratio: round(value / baseline, 2),
      target: `at most ${ratioMax} × NATS's own request and reply`,
      pass: value <= baseline * ratioMax,
      in_flight: measured,
      codec: codecCosts()
    })
    await nats.close()
    await links.close()
  } finally {
    owner.kill()
  }
}
