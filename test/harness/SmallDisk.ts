/** A small disk of its own (tmpfs), to be filled to the last byte. Only root can mount one. */
import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"

export class SmallDisk implements Disposable {
  readonly path: string

  private constructor(path: string) {
    this.path = path
    process.once("exit", this.#unmount)
  }

  /** Or why it can't be had. */
  static mount(path: string, bytes: number): SmallDisk | string {
    mkdirSync(path, { recursive: true })
    const { error, status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path], {
      encoding: "utf8"
    })
    return status === 0 ? new SmallDisk(path) : `a small disk can't be mounted: ${error?.message ?? stderr.trim()}`
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#unmount)
    this.#unmount()
  }

  readonly #unmount = (): void => {
    spawnSync("umount", ["-l", this.path])
  }
}
