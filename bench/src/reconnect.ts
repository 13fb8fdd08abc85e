/**
 * The herd: 10,000 clients with 50 channels each lose their connections at once, under 1,000 sends a second. Each comes
 * back as a client does (full jitter, a refusal is tried again), resumes by the positions it holds, and must then have
 * every channel without a hole up to the last acknowledged message. Measured: until the last one has resumed, and the
 * worst stall of the server's event loop meanwhile. Beside it, the same with no sends and clients that hold nothing new.
 */
import { rmSync } from "node:fs"
import { limitsFire } from "./LimitsFire.ts"
import { Herd, type HerdShape } from "./load/Herd.ts"
import { pause, report, round, say } from "./Report.ts"
import { pinGenerator, startParley, watchCpu } from "./Servers.ts"
import { seededData, type Seeds } from "./seed/KeptSeeds.ts"
import { sized } from "./Sizes.ts"
import { readStalls, stallFlags } from "./load/Stalls.ts"

const shape: HerdShape = { users: sized(10_000, 500), channelsEach: 50, membersEach: 20, senders: sized(50, 25) }
const sendsPerSecond = sized(1_000, 100)
const loadMs = sized(5_000, 2_000)
const resumeMsMax = 15_000
const stallMsMax = 250

export const seeds = { reconnect: () => ({ channels: Herd.channels(shape) }) } satisfies Seeds

export const bench = async (): Promise<void> => {
  pinGenerator()
  const { data, seeded } = await seededData("reconnect", seeds.reconnect)
  const stalls = `${data}.stalls`
  const server = await startParley({ data, env: { BENCH_STALLS: stalls }, flags: stallFlags })
  try {
    const herd = await Herd.open(() => ({ port: server.port, baseline: false }), shape)
    say(`${shape.users} clients are live in ${shape.channelsEach} channels each`)
    const quiet = await herd.dropAndResume()
    await pause(2_000)
    herd.startSends(sendsPerSecond)
    await pause(1_000)
    const sending = watchCpu(server)
    await pause(loadMs)
    const sendsAlone = sending()
    const from = Date.now()
    const cpu = watchCpu(server)
    const busy = await herd.dropAndResume()
    const { generator, serverSeconds } = cpu()
    const worstStall = readStalls(stalls, from)
    await pause(loadMs)
    await herd.stopSends()
    await herd.settled()
    herd.close()
    const limits = await limitsFire("connections")
    report({
      bench: "reconnect",
      value: round(busy.lastMs / 1_000, 2),
      unit: "s until all resumed",
      baseline: round(quiet.lastMs / 1_000, 2),
      ratio: round(busy.lastMs / quiet.lastMs, 2),
      target: `value <= ${resumeMsMax / 1_000} s, nothing lost, worst stall <= ${stallMsMax} ms`,
      pass: busy.lastMs <= resumeMsMax && worstStall <= stallMsMax && limits.fired,
      p50_resume_ms: round(busy.p50Ms),
      worst_stall_ms: round(worstStall),
      refused_and_retried: busy.refused,
      cpu_ms_per_resume: round((serverSeconds * 1_000) / shape.users, 2),
      sends_per_second: sendsPerSecond,
      /** What the sends and their deliveries to everybody take of the core before the drop. */
      share_of_sends_alone: round(sendsAlone.serverSeconds / sendsAlone.seconds, 2),
      events_checked: herd.events,
      seeded,
      generator_cpu: round(generator, 2),
      limits
    })
  } finally {
    await server.stop("SIGKILL")
    rmSync(stalls, { force: true })
  }
}
