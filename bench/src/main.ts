/** `npm run bench -- NAME`: runs one bench; its last line is one JSON object. */
const benches: Readonly<Record<string, () => Promise<{ readonly bench: () => Promise<void> }>>> = {
  send: () => import("./send.ts"),
  fanout: () => import("./fanout.ts"),
  idle: () => import("./idle.ts")
}

const name = process.argv[2] ?? ""
const load = benches[name]
if (load === undefined) {
  process.stderr.write(`usage: npm run bench -- NAME, where NAME is one of ${Object.keys(benches).join(", ")}\n`)
  process.exit(2)
}
await (await load()).bench()
process.exit(0)
