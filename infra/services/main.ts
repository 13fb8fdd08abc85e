/**
 * `npm run services -- up|down|status|logs [nats|cassandra|redis …]`: real NATS, Cassandra and Redis on this machine. `up`
 * prints the addresses as the lines of a shell that set them; all else goes to stderr. See docs/services.md.
 */
import { spawnSync } from "node:child_process"
import { resolve } from "node:path"
import { parseArgs } from "node:util"
import { endServices, services } from "./Ending.ts"
import { shellLines } from "./Environment.ts"
import { tail } from "./Readiness.ts"
import { startServices } from "./Services.ts"
import { ServicesError } from "./ServicesError.ts"
import { readState, type ServiceName, serviceNames, stateFile } from "./State.ts"
import { statusOf } from "./Status.ts"

const usage = `usage: npm run services -- up|down|status|logs [nats|cassandra|redis …]
  --data DIR             where state, data and logs are (data/services)
  --nats-nodes N         1, 3 or 5 servers (3)
  --cassandra-nodes N    nodes of the ring, on 127.0.0.1 and following (1)
  --lines N              of each log (40)
  --follow               goes on with the logs`

const say = (line: string): void => console.error(`services: ${line}`)

const main = async (args: ReadonlyArray<string>): Promise<number> => {
  const { positionals, values } = parse(args)
  const [command, ...rest] = positionals
  const names = rest.length === 0 ? serviceNames : rest.map(serviceName)
  const data = resolve(values.data)
  switch (command) {
    case "up": {
      const natsNodes = count("--nats-nodes", values["nats-nodes"])
      if (natsNodes % 2 === 0) throw new ServicesError("--nats-nodes: an odd number keeps a majority when one is lost.")
      const { state } = await startServices({
        data,
        outlive: true,
        say,
        ...(names.includes("nats") ? { nats: { nodes: natsNodes } } : {}),
        ...(names.includes("cassandra")
          ? { cassandra: { nodes: count("--cassandra-nodes", values["cassandra-nodes"]) } }
          : {}),
        ...(names.includes("redis") ? { redis: true } : {})
      })
      say(`addresses and logins are in ${stateFile(data)}; \`npm run services -- down\` ends them`)
      for (const line of shellLines(state)) console.log(line)
      return 0
    }
    case "down":
      await endServices(data, { names, say })
      return 0
    case "status": {
      const status = await statusOf(readState(data), names)
      for (const line of status.lines) console.log(line)
      return status.allReady ? 0 : 1
    }
    case "logs":
      return logs(data, names, count("--lines", values.lines), values.follow)
    default:
      throw new ServicesError(usage)
  }
}

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        data: { type: "string", default: "data/services" },
        "nats-nodes": { type: "string", default: "3" },
        "cassandra-nodes": { type: "string", default: "1" },
        lines: { type: "string", default: "40" },
        follow: { type: "boolean", short: "f", default: false }
      }
    })
  } catch (error) {
    throw new ServicesError(`${error instanceof Error ? error.message : error}\n${usage}`)
  }
}

const serviceName = (text: string): ServiceName => {
  const name = serviceNames.find((name) => name === text)
  if (name === undefined) throw new ServicesError(`There is no service "${text}".\n${usage}`)
  return name
}

const count = (option: string, text: string): number => {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new ServicesError(`${option} is "${text}": a number from 1.`)
  return Number(text)
}

const logs = (data: string, names: ReadonlyArray<ServiceName>, lines: number, follow: boolean): number => {
  const nodes = readState(data)?.nodes.filter((node) => names.includes(node.service)) ?? []
  if (nodes.length === 0)
    throw new ServicesError(`Nothing of ${names.map((name) => services[name].title).join(", ")} runs in ${data}.`)
  const files = nodes.map((node) => node.launch.log)
  if (follow) return spawnSync("tail", ["-n", String(lines), "-F", ...files], { stdio: "inherit" }).status ?? 0
  for (const { launch, name } of nodes) {
    console.log(`== ${name}: ${launch.log}`)
    for (const line of tail(launch.log, lines)) console.log(line)
  }
  return 0
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof ServicesError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
