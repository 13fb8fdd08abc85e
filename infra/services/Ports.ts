/**
 * Ports that are free now, below the range from which the system takes those of outgoing connections, so that one stays
 * free while its server is down. Chosen at random: two runs side by side hardly ever want the same, and the one that loses
 * chooses again (see `Services`).
 */
import { createServer } from "node:net"
import { ServicesError } from "./ServicesError.ts"

const portMin = 15_000
const portMax = 32_000
const triesMax = 200

/** One port for each name, free on all hosts. Ports that were used before are taken again if they are still free. */
export const choosePorts = async (
  names: ReadonlyArray<string>,
  hosts: ReadonlyArray<string>,
  before: Readonly<Record<string, number>> = {}
): Promise<Record<string, number>> => {
  const chosen: Record<string, number> = {}
  for (const name of names) {
    const taken = new Set(Object.values(chosen))
    const usual = before[name]
    chosen[name] =
      usual !== undefined && !taken.has(usual) && (await isFree(usual, hosts)) ? usual : await anyFree(hosts, taken)
  }
  return chosen
}

const anyFree = async (hosts: ReadonlyArray<string>, taken: ReadonlySet<number>): Promise<number> => {
  for (let tries = 0; tries < triesMax; tries++) {
    const port = portMin + Math.floor(Math.random() * (portMax - portMin))
    if (!taken.has(port) && (await isFree(port, hosts))) return port
  }
  throw new ServicesError(
    `No free port between ${portMin} and ${portMax} on ${hosts.join(", ")} in ${triesMax} tries: see whether these addresses exist on this machine.`
  )
}

export const isFree = async (port: number, hosts: ReadonlyArray<string>): Promise<boolean> => {
  for (const host of hosts) if (!(await canListen(port, host))) return false
  return true
}

const canListen = (port: number, host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })
