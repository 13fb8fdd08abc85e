import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { link, readFile, rename, rm, writeFile } from "node:fs/promises"

/** Writes a new file, for its owner alone, and has it on the disk. */
const writeNew = (path: string, text: string): Promise<void> =>
  writeFile(path, text, { mode: 0o600, flag: "wx", flush: true })

/**
 * What the file has; who finds none makes it of `text`. It is there whole or not at all: whoever starts in the same moment
 * must not read one that is being written, nor who starts after a crash.
 */
export const keptFile = async (path: string, text: string, write: typeof writeNew = writeNew): Promise<string> => {
  // Nothing is written where it is there: the disk may be full.
  if (existsSync(path)) return readFile(path, "utf8")
  const made = `${path}.${randomBytes(8).toString("hex")}`
  await write(made, text)
  try {
    await link(made, path)
  } catch (error) {
    const there = error instanceof Error && "code" in error && error.code === "EEXIST"
    // A file system without hard links.
    if (!there) await rename(made, path)
  } finally {
    await rm(made, { force: true })
  }
  return readFile(path, "utf8")
}
