/**
 * `npm run bench -- NAME [ARGUMENTS]`: runs one bench; its last line is one JSON object. `npm run bench -- seed NAME`
 * fills the seeds that it keeps in BENCH_SEED_DIR, and measures nothing.
 */
import { keepSeeds, type Seeds } from "./seed/KeptSeeds.ts"

interface BenchModule {
  readonly bench: (args: ReadonlyArray<string>) => Promise<void>
  readonly seeds?: Seeds
}

const benches: Readonly<Record<string, () => Promise<BenchModule>>> = {
  fanout: () => import("./fanout.ts"),
  send: () => import("./send.ts"),
  hotchannel: () => import("./hotchannel.ts"),
  idle: () => import("./idle.ts"),
  reconnect: () => import("./reconnect.ts"),
  scale: () => import("./scale.ts"),
  history: () => import("./history.ts"),
  start: () => import("./start.ts"),
  replay: () => import("./replay.ts"),
  remotecalls: () => import("./remotecalls.ts"),
  log: () => import("./log.ts"),
  takeover: () => import("./takeover.ts"),
  remote: () => import("./remote.ts"),
  "remote-hot": () => import("./remotehot.ts"),
  "remote-fanout": () => import("./remotefanout.ts"),
  "log-leader": () => import("./logleader.ts"),
  persister: () => import("./persister.ts"),
  storm: () => import("./storm.ts"),
  presence: () => import("./presence.ts"),
  growth: () => import("./growth.ts")
}

const [first = "", ...rest] = process.argv.slice(2)
const seedOnly = first === "seed"
const [name = "", ...args] = seedOnly ? rest : [first, ...rest]
const load = benches[name]
if (load === undefined) {
  process.stderr.write(`usage: npm run bench -- NAME, where NAME is one of ${Object.keys(benches).join(", ")}\n`)
  process.exit(2)
}
const { bench, seeds = {} } = await load()
await (seedOnly ? keepSeeds(seeds) : bench(args))
process.exit(0)
