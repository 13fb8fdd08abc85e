/** A small disk of its own (tmpfs), to be filled to the last byte. Only root can mount one. */
import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"

export class SmallDisk implements Disposable {
  /** Why it can't be had here; undefined: it is there. */
  readonly why: string | undefined
  readonly #path: string

  private constructor(path: string, why: string | undefined) {
    this.#path = path
    this.why = why
    process.once("exit", this.#unmount)
  }

  static mount(path: string, bytes: number): SmallDisk {
    mkdirSync(path, { recursive: true })
    const { error, status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path], {
      encoding: "utf8"
    })
    return new SmallDisk(
      path,
      status === 0 ? undefined : `a small disk can't be mounted: ${error?.message ?? stderr.trim()}`
    )
  }

  in(name: string): string {
    return join(this.#path, name)
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#unmount)
    this.#unmount()
  }

  readonly #unmount = (): void => {
    if (this.why === undefined) spawnSync("umount", ["-l", this.#path])
  }
}
