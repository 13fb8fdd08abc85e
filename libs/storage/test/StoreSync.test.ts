/** What `sync` asks of the kernel, seen from outside: WRITE-BEHIND-SAFE rests on it. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const probe = fileURLToPath(new URL("./SyncProbe.ts", import.meta.url))
/** strace may be missing, or not be allowed to trace. */
const traceable = spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0

/** How often the WAL was synced while the store was written to and synced `times` times. */
const walSyncs = (times: number): number => {
  const directory = mkdtempSync(join(tmpdir(), "parley-sync-"))
  try {
    const trace = join(directory, "trace")
    const command = ["-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace, process.execPath, probe]
    const run = spawnSync("strace", [...command, join(directory, "store.sqlite"), String(times)], { encoding: "utf8" })
    assert.strictEqual(run.status, 0, run.stderr)
    return readFileSync(trace, "utf8")
      .split("\n")
      .filter((line) => line.includes("store.sqlite-wal>")).length
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

describe("StoreSync in SQLite", () => {
  it.skipIf(!traceable)("WRITE-BEHIND-SAFE: each sync is an fsync of the WAL, a write alone is none", () => {
    const alone = walSyncs(0)
    assert.strictEqual(walSyncs(3), alone + 3)
    assert.isBelow(alone, 20)
  })
})
