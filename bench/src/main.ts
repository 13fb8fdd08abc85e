/** `npm run bench -- NAME [ARGUMENTS]`: runs one bench; its last line is one JSON object. */
interface BenchModule {
  readonly bench: (args: ReadonlyArray<string>) => Promise<void>
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
  replay: () => import("./replay.ts")
}

const [name = "", ...args] = process.argv.slice(2)
const load = benches[name]
if (load === undefined) {
  process.stderr.write(`usage: npm run bench -- NAME, where NAME is one of ${Object.keys(benches).join(", ")}\n`)
  process.exit(2)
}
await (await load()).bench(args)
process.exit(0)
