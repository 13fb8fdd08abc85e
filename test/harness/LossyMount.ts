/** A directory on `infra/faults/lossyfs.py`: what is not synced there is gone when the power is cut. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"

const script = join(import.meta.dirname, "../../infra/faults/lossyfs.py")
const mountMsMax = 10_000

/** Why tests with it can't run here; undefined: they can. */
export const noFuse = (): string | undefined =>
  process.env["PARLEY_FUSE"] === "1" ? undefined : "this machine can't mount a FUSE file system"

export class LossyMount implements AsyncDisposable {
  /** Where a program works, until the cut. */
  readonly path: string
  /** What has reached the disk. */
  readonly backing: string
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #output = ""

  private constructor(backing: string, path: string, seed: number | undefined, journal: boolean) {
    this.backing = backing
    this.path = path
    const args = [script, backing, path, String(seed ?? "-"), ...(journal ? ["journal"] : [])]
    this.#child = spawn(process.env["PARLEY_PYTHON"] ?? "python3", args, { stdio: ["ignore", "pipe", "pipe"] })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-4_096)))
    }
    this.#ended = new Promise((resolve) => {
      this.#child.on("close", () => resolve())
      this.#child.on("error", () => resolve())
    })
    process.once("exit", this.#unmountNow)
  }

  /**
   * With a seed, the cut leaves a random part of what was not synced; without, nothing of it. With `journal` a sync of a
   * file keeps the names that were changed before it, as on ext4 and XFS; without, only that of their directory does.
   */
  static async mount(backing: string, path: string, seed?: number, journal = false): Promise<LossyMount> {
    mkdirSync(backing, { recursive: true })
    mkdirSync(path, { recursive: true })
    const before = statSync(path).dev
    const mount = new LossyMount(backing, path, seed, journal)
    for (const until = Date.now() + mountMsMax; Date.now() < until && mount.#child.exitCode === null; await delay(10)) {
      if (statSync(path).dev !== before) return mount
    }
    await mount[Symbol.asyncDispose]()
    throw new Error(`lossyfs did not mount: ${mount.#output}`)
  }

  /** The power goes. Returns how many writes were on their way. */
  cut(): number {
    try {
      writeFileSync(join(this.path, ".cut"), "")
    } catch {
      // It answers EIO, like everything from now on.
    }
    return Number(readFileSync(`${this.backing}.cut`, "utf8"))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#unmountNow)
    this.#unmountNow()
    this.#child.kill("SIGTERM")
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5_000)
    await this.#ended
    clearTimeout(timer)
  }

  readonly #unmountNow = (): void => {
    spawnSync("fusermount", ["-u", "-z", this.path])
  }
}
