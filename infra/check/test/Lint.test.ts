import { expect, it } from "vitest"
import { lint } from "../Lint.ts"
import { withProject } from "./project.ts"

const path = "libs/protocol/src/Head.ts"
const check = (text: string) => withProject({ [path]: text }, lint.run)

it("plain code is ok", async () => {
  expect(await check("export const head = 1\n")).toEqual([])
})

it.each([
  ["any", "export const head = (value: any): unknown => value\n", "no-explicit-any"],
  ["==", "export const head = (value: unknown): boolean => value == 1\n", "eqeqeq"],
  ["printing from a library", "export const head = (): void => console.log(1)\n", "no-console"],
  ["a default export", "export default 1\n", "no-default-export"],
  ["a directive that does nothing", "// oxlint-disable-next-line eqeqeq -- no reason\nexport const head = 1\n", "nused"]
])("%s fails", async (_, text, rule) => {
  const places = await check(text)
  expect(places[0]).toMatch(new RegExp(`^${path}:\\d+:\\d+: .*${rule}`))
})
