/**
 * Disk space held back: a file of its own that is given up when the disk is full, so that purging, checkpoints of the
 * database and the log's reserved records (†28) can still be written, and taken again once there is room. While it is
 * given up, the log takes no ordinary records.
 *
 * It must be at least as large as the write-ahead file can grow, so that a checkpoint can always be finished with it.
 */
import { randomFillSync } from "node:crypto"
import { closeSync, fsyncSync, openSync, rmSync, statSync, statfsSync, writeSync } from "node:fs"
import { dirname } from "node:path"

const chunkBytes = 1_048_576

export class DiskReserve {
  private readonly file: string
  private readonly bytes: number
  held = false

  constructor(file: string, bytes: number) {
    this.file = file
    this.bytes = bytes
  }

  /** Takes the space, if the disk has it; true if it is held now. */
  take(): boolean {
    if (this.held) return true
    if (this.bytes === 0 || statSync(this.file, { throwIfNoEntry: false })?.size === this.bytes)
      return (this.held = true)
    try {
      const disk = statfsSync(dirname(this.file))
      if (disk.bavail * disk.bsize < this.bytes) return false
      this.fill()
      this.held = true
    } catch {
      // The disk was too small after all: whatever was taken goes back.
      this.remove()
    }
    return this.held
  }

  private fill(): void {
    // Random bytes: a filesystem that compresses would reserve nothing for zeros.
    const chunk = randomFillSync(new Uint8Array(Math.min(chunkBytes, this.bytes)))
    const descriptor = openSync(this.file, "w", 0o600)
    try {
      for (let written = 0; written < this.bytes;) {
        written += writeSync(descriptor, chunk, 0, Math.min(chunk.length, this.bytes - written))
      }
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }

  /** Gives the space up; true if there was something to give. */
  giveUp(): boolean {
    const held = this.held && this.bytes > 0
    this.held = false
    this.remove()
    return held
  }

  private remove(): void {
    rmSync(this.file, { force: true })
  }
}
