/**
 * A look at the heads of the data directory's files before any of them is opened for writing: where one is not what
 * SQLite wrote, nothing is touched, the whole ones included.
 */
import { closeSync, existsSync, openSync, readSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { DataDirectoryDamaged } from "../DataDirectory.ts"

/** The first 16 bytes of every SQLite file (its file format, §1.3). */
const magic = "SQLite format 3\0"

const headOf = (file: string): string => {
  const head = Buffer.alloc(magic.length)
  const fd = openSync(file, "r")
  try {
    const bytes = readSync(fd, head, 0, head.length, 0)
    return head.toString("latin1", 0, bytes)
  } finally {
    closeSync(fd)
  }
}

/** Fails if one of the files is there, is not empty, and does not begin as a database does. */
export const checkDatabaseHeads = (
  directory: string,
  names: ReadonlyArray<string>
): Effect.Effect<void, DataDirectoryDamaged> =>
  Effect.suspend(() => {
    for (const name of names) {
      const file = join(directory, name)
      if (!existsSync(file)) continue
      const head = headOf(file)
      if (head !== "" && head !== magic) {
        return Effect.fail(new DataDirectoryDamaged({ directory, what: `${name} does not begin as a database does` }))
      }
    }
    return Effect.void
  })
