/** What nodes of one data directory make at their first start, on a disk that is slow. */
import { mkdtemp, open, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it } from "@effect/vitest"
import { keptFile } from "../../src/edge/KeptFile.ts"

/** The file is there at once, and what it holds only later. */
const slowly = async (path: string, text: string): Promise<void> => {
  const file = await open(path, "wx", 0o600)
  await new Promise((resolve) => setTimeout(resolve, 20))
  await file.writeFile(text)
  await file.close()
}

it("a kept file is whole and the same for all who make it in the same moment", async () => {
  const folder = await mkdtemp(join(tmpdir(), "parley-kept-"))
  const path = join(folder, "some.key")
  const texts = await Promise.all(
    ["a", "b", "c", "d"].map(async (letter, at) => {
      await new Promise((resolve) => setTimeout(resolve, at * 8))
      return keptFile(path, letter.repeat(64), slowly)
    })
  )
  const [first = ""] = texts
  expect(first).toMatch(/^(.)\1{63}$/)
  expect(texts).toEqual(texts.map(() => first))
  expect(await readdir(folder)).toEqual(["some.key"])
  expect(await keptFile(path, "e".repeat(64))).toBe(first)
  await rm(folder, { recursive: true })
})
