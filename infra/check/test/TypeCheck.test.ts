import { expect, it } from "vitest"
import { typeCheck } from "../TypeCheck.ts"
import { withProject } from "./project.ts"

const path = "libs/protocol/src/Head.ts"
const check = (text: string) => withProject({ [path]: text }, typeCheck.run)

it("code that type checks is ok", async () => {
  expect(await check("export const head: number = 1\n")).toEqual([])
})

it.each([
  ["a wrong type", 'export const head: number = "1"\n'],
  ["an element that may be missing", "export const head = (all: ReadonlyArray<number>): number => all[0]\n"],
  ["undefined for an optional field", "export const head: { seq?: number } = { seq: undefined }\n"],
  ["syntax that is not erasable", "export enum Head { First }\n"],
  ["a type imported as a value", 'import { ServerOpts } from "node:net"\nexport type Head = ServerOpts\n']
])("%s fails", async (_, text) => {
  const places = await check(text)
  expect(places[0]).toMatch(/^libs\/protocol\/src\/Head\.ts\(\d+,\d+\): error TS/)
})
