/**
 * `npm run cluster`: real NATS (3 servers), Cassandra and Redis, and three Parley nodes that are one cluster, on this
 * machine, until Ctrl-C. What it starts is what several machines would run; only the addresses differ. It prints how to
 * put two people on different nodes, how to kill a node, and where each node's log is.
 */
import { parseArgs } from "node:util"
import { resolve } from "node:path"
import { sentenceOf } from "../services/ServicesError.ts"
import { startCluster } from "./LocalNodes.ts"

const usage = `usage: npm run cluster -- [options]
  --data DIR     where everything is (data/cluster)
  --nodes N      Parley nodes, 1 to 9 (3)
  --port P       port of the first node; the others follow (8080)`

const say = (line: string): void => console.error(line)

const instructions = (nodes: ReadonlyArray<{ readonly name: string; readonly url: string; readonly pid: number }>) => {
  const [first, second] = nodes
  const lines = nodes.map(({ name, pid, url }) => `  ${name}  ${url}  process ${pid}`)
  if (first === undefined) return lines
  const other = second ?? first
  return [
    "A cluster of Parley is ready:",
    ...lines,
    "Two people on different nodes, each in a terminal of their own:",
    `  npm run chat -- --as ana --url ${first.url}`,
    `  npm run chat -- --as ben --url ${other.url}`,
    "Kill a node and go on with those that are left; nothing is lost:",
    `  kill -9 ${first.pid}`,
    "Ctrl-C ends everything."
  ]
}

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      data: { type: "string", default: "data/cluster" },
      nodes: { type: "string", default: "3" },
      port: { type: "string", default: "8080" }
    }
  })
  const [count, port] = [Number(values.nodes), Number(values.port)]
  if (!Number.isInteger(count) || count < 1 || count > 9 || !Number.isInteger(port) || port < 0 || port > 65_000) {
    console.error(usage)
    return 2
  }
  const stopped = new Promise<void>((done) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => done())
  })
  await using cluster = await startCluster({ data: resolve(values.data), count, port, say })
  for (const line of instructions(cluster.nodes)) console.log(line)
  await stopped
  say("stopping the nodes, then the services")
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(sentenceOf(error))
  process.exitCode = 1
}
