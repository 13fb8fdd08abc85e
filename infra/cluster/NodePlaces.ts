/** Where the local cluster's nodes listen, and what they share: their ports, and the secret of tokens. */
import { randomBytes } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { choosePorts, isFree } from "../services/Ports.ts"
import { ServicesError } from "../services/ServicesError.ts"
import type { SiteOf } from "../services/Site.ts"

export const loopback = "127.0.0.1"
/** In networks of their own. */
const usualPort = 8_080

export const nodeName = (index: number): string => `node-${index + 1}`

export interface PortsWanted {
  readonly count: number
  /** Of the first node; the others follow. 0: free ones. */
  readonly port: number
  readonly siteOf?: SiteOf
}

export const portsOf = async ({ count, port, siteOf }: PortsWanted): Promise<ReadonlyArray<number>> => {
  if (siteOf !== undefined) return Array.from({ length: count }, () => usualPort)
  if (port === 0) {
    const names = Array.from({ length: count }, (_, index) => nodeName(index))
    return Object.values(await choosePorts(names, [loopback]))
  }
  const ports = Array.from({ length: count }, (_, index) => port + index)
  for (const wanted of ports) {
    if (!(await isFree(wanted, [loopback]))) {
      throw new ServicesError(`Port ${wanted} is taken: end what listens there, or choose another with --port.`)
    }
  }
  return ports
}

/** Of development tokens: every node must know it. */
export const sharedSecret = (data: string): string => {
  const file = join(data, "auth.secret")
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString("base64url"), { mode: 0o600 })
  return readFileSync(file, "utf8")
}
