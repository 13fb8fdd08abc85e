/**
 * Storage in a folder, for clients on Node: one file a key, written aside, synced and renamed, so that a crash leaves
 * the old text or the new one. Not part of a browser bundle: import it by its own name.
 */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import type { ClientStorage } from "./ClientStorage.ts"

const fileName = (key: string): string => `${encodeURIComponent(key)}.json`

const isMissing = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ENOENT"

export const fileStorage = (folder: string): ClientStorage => ({
  read: async (key) => {
    try {
      return await readFile(join(folder, fileName(key)), "utf8")
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  },
  write: async (key, text) => {
    const path = join(folder, fileName(key))
    if (text === undefined) return rm(path, { force: true })
    // What a person wrote is nobody else's to read.
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const aside = `${path}.${process.pid}.new`
    const file = await open(aside, "w", 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(aside, path)
  }
})
