/** An operator of a local cluster: `parley cluster …` as a process, and what that asks, with the key of the node that is asked. */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { type ClusterApi, clusterApiAt, type Status } from "@parley/node/cli/cluster/ClusterApi"
import { systemPace, until } from "@parley/node/cli/cluster/Pace"
import type { LocalCluster } from "../../infra/cluster/LocalNodes.ts"

const root = join(import.meta.dirname, "../..")

export interface Said {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

/** Asks this node, whatever it is about. */
export class Operator {
  readonly api: ClusterApi
  readonly #url: string
  readonly #data: string

  constructor(cluster: LocalCluster, index: number) {
    const { log, url } = cluster.place(index)
    this.#url = url
    this.#data = dirname(log)
    this.api = clusterApiAt(url, readFileSync(join(this.#data, "operator.key"), "utf8").trim())
  }

  /** Until the cluster, as this node sees it, is so. */
  until(what: string, msMax: number, done: (status: Status) => boolean): Promise<void> {
    return until(this.api, systemPace, msMax, what, done)
  }

  parley(...args: ReadonlyArray<string>): Promise<Said> {
    return new Promise((resolve) => {
      const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("PARLEY_"))
      const child = spawn(
        process.execPath,
        ["infra/launch.mjs", "apps/node/src/main.ts", "cluster", ...args, "--url", this.#url, "--data", this.#data],
        { cwd: root, env: Object.fromEntries(inherited), stdio: ["ignore", "pipe", "pipe"] }
      )
      let out = ""
      let error = ""
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
      child.stderr.on("data", (chunk: Buffer) => (error += chunk.toString()))
      child.on("close", (code) => resolve({ code, out, error }))
    })
  }
}

/** The runner of a node that is called so; one that ended just before may not have been found silent yet. */
export const runnerOf = ({ runners }: Status, node: string): string =>
  runners
    .filter(({ runner, state }) => state === "active" && runner.startsWith(`${node}-`))
    .sort((a, b) => a.heard_ms - b.heard_ms)[0]?.runner ?? ""
