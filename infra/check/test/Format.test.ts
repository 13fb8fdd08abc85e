import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { format, formatAll } from "../Format.ts"
import { withProject } from "./project.ts"

const path = "libs/protocol/src/Head.ts"
const good = 'export const head = (seq: number) => ({ seq, text: "a" })\n'
const bad = "export const head=seq=>({ seq,\n  text: 'a' });\n"

it("formatted code is ok", async () => {
  expect(await withProject({ [path]: good }, format.run)).toEqual([])
})

it("code that is not formatted fails", async () => {
  expect(await withProject({ [path]: bad }, format.run)).toEqual([`${path}: not formatted (npm run format)`])
})

it("formatting puts it right", async () => {
  await withProject({ [path]: bad }, async (project) => {
    await formatAll(project.root, [])
    expect(await format.run(project)).toEqual([])
    expect(readFileSync(join(project.root, path), "utf8")).not.toContain(";")
  })
})
