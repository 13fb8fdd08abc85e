/**
 * A network of this machine's own making: a program runs in a network namespace with a bridge, and each process of a
 * cluster in one more with a cable to it. Cables can be cut for chosen neighbours, one way or both, and made slow. No cut
 * is heard of by either end: packets vanish, as in a broken switch.
 *
 * All of it lies in namespaces that only processes of the program hold (network and mounts): when they have ended,
 * however they ended, the kernel has removed it. Cuts are routing rules of the receiver, since kernels come without
 * netfilter; a slow cable is a token bucket (`tc tbf`), since they come without netem.
 */
import { spawn, spawnSync } from "node:child_process"
import type { Site } from "../services/Site.ts"

/** Says to a program that it is inside. */
const insideVariable = "PARLEY_PRIVATE_NETWORK"
const bridge = "parley"
/** The first three numbers of every address; nobody else is in this network. */
const prefix = "10.77.0"
const ownAddress = `${prefix}.254`
const firstHost = 10
const namespacesMax = 200
const commandMsMax = 10_000
/** What a token bucket takes at once, and how long a packet may wait in it. */
const burst = "16kb"
const queueLatency = "2000ms"

export class NetworkError extends Error {}

const isRoot = process.getuid?.() === 0
const unshare = ["--net", "--mount", ...(isRoot ? [] : ["--user", "--map-root-user"])]

/** What a machine must allow, tried at once: namespaces, a cable, a rule, a token bucket. */
const probe = [
  "set -e",
  "mount -t tmpfs tmpfs /run/netns 2>/dev/null || { mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns; }",
  "ip netns add probe",
  `ip link add ${bridge} type bridge`,
  "ip link add cable type veth peer name eth0 netns probe",
  "ip -n probe rule add pref 1 iif eth0 from 192.0.2.1 blackhole",
  "tc -n probe qdisc add dev eth0 root tbf rate 1mbit burst 16kb latency 2000ms"
].join("\n")

/** Why there can be no such network here; undefined: there can. */
export const whyNoNetwork = (): string | undefined => {
  if (process.platform !== "linux") return "network namespaces are Linux's"
  const { error, status, stderr } = spawnSync("unshare", [...unshare, "--", "sh", "-c", probe], {
    encoding: "utf8",
    timeout: commandMsMax
  })
  if (status === 0) return undefined
  const why = error?.message ?? stderr.trim().split("\n").at(-1) ?? "no reason given"
  return `this machine makes no network namespaces with bridge, rules and token bucket (${why})`
}

export const isInside = (): boolean => process.env[insideVariable] === "1"

/** Runs this program again inside, with its arguments; returns its exit code. */
export const runInside = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>> = {}
): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn("unshare", [...unshare, "--", process.execPath, ...process.execArgv, ...args], {
      stdio: "inherit",
      env: { ...process.env, ...environment, [insideVariable]: "1" }
    })
    // Whoever ends this one means the other, which then cleans up.
    const forward = (signal: NodeJS.Signals) => () => void child.kill(signal)
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, forward(signal))
    child.once("error", reject)
    child.once("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)))
  })

const command = (program: string, ...args: ReadonlyArray<string>): void => {
  const { error, status, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: commandMsMax })
  if (status !== 0) {
    throw new NetworkError(`${program} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`)
  }
}

export class PrivateNetwork {
  readonly #hosts = new Map<string, string>()
  /** `from>to` of what is cut now. */
  readonly #cuts = new Set<string>()
  readonly #slow = new Set<string>()

  /** Only in a program that runs inside. */
  static make(): PrivateNetwork {
    if (!isInside())
      throw new NetworkError("this program does not run in a network namespace of its own: see runInside")
    command("mkdir", "-p", "/run/netns")
    // Of this mount namespace only: names of others' namespaces are neither seen nor left behind.
    command("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", bridge, "type", "bridge")
    command("ip", "addr", "add", `${ownAddress}/24`, "dev", bridge)
    command("ip", "link", "set", bridge, "up")
    return new PrivateNetwork()
  }

  /** The place of a process by this name, made when it is asked for first. */
  site(name: string): Site {
    const host = this.#hosts.get(name) ?? this.#add(name)
    return { host, enter: ["nsenter", `--net=/run/netns/${name}`, "--"] }
  }

  get names(): ReadonlyArray<string> {
    return [...this.#hosts.keys()]
  }

  /** Nothing of `from` reaches `to` any more; the other way goes on. */
  cutOneWay(from: string, to: string): void {
    if (this.#cuts.has(`${from}>${to}`)) return
    this.#rule("add", from, to)
    this.#cuts.add(`${from}>${to}`)
  }

  /** Every one of `these` from every one of `those`, both ways. */
  cut(these: ReadonlyArray<string>, those: ReadonlyArray<string>): void {
    for (const a of these) {
      for (const b of those) {
        if (a === b) continue
        this.cutOneWay(a, b)
        this.cutOneWay(b, a)
      }
    }
  }

  /** All that `name` sends and hears passes at this rate. */
  slow(name: string, kilobitsPerSecond: number): void {
    const rate = ["tbf", "rate", `${kilobitsPerSecond}kbit`, "burst", burst, "latency", queueLatency]
    command("tc", "-n", name, "qdisc", "replace", "dev", "eth0", "root", ...rate)
    command("tc", "qdisc", "replace", "dev", cableOf(this.#hostOf(name)), "root", ...rate)
    this.#slow.add(name)
  }

  /** Every cable is whole and fast again. */
  heal(): void {
    for (const cut of this.#cuts) {
      const [from = "", to = ""] = cut.split(">")
      this.#rule("del", from, to)
    }
    this.#cuts.clear()
    for (const name of this.#slow) {
      command("tc", "-n", name, "qdisc", "del", "dev", "eth0", "root")
      command("tc", "qdisc", "del", "dev", cableOf(this.#hostOf(name)), "root")
    }
    this.#slow.clear()
  }

  #rule(what: "add" | "del", from: string, to: string): void {
    command("ip", "-n", to, "rule", what, "pref", "1", "iif", "eth0", "from", this.#hostOf(from), "blackhole")
  }

  #hostOf(name: string): string {
    const host = this.#hosts.get(name)
    if (host === undefined) throw new NetworkError(`there is no ${name} in the network, only ${this.names.join(", ")}`)
    return host
  }

  #add(name: string): string {
    if (this.#hosts.size >= namespacesMax) throw new NetworkError(`more than ${namespacesMax} namespaces`)
    const host = `${prefix}.${firstHost + this.#hosts.size}`
    const cable = cableOf(host)
    command("ip", "netns", "add", name)
    command("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
    command("ip", "link", "set", cable, "master", bridge, "up")
    command("ip", "-n", name, "addr", "add", `${host}/24`, "dev", "eth0")
    for (const device of ["lo", "eth0"]) command("ip", "-n", name, "link", "set", device, "up")
    // Rules are asked before the table of the machine's own addresses, and for every packet.
    command("ip", "-n", name, "rule", "add", "pref", "100", "lookup", "local")
    command("ip", "-n", name, "rule", "del", "pref", "0")
    command("nsenter", `--net=/run/netns/${name}`, "--", "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_early_demux")
    this.#hosts.set(name, host)
    return host
  }
}

/** Of the bridge's end. */
const cableOf = (host: string): string => `cable${host.split(".").at(-1)}`
