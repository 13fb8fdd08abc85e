import { expect, it } from "vitest"
import { reasons } from "../Reasons.ts"
import { projectOf } from "./project.ts"

const check = (text: string, path = "libs/client/src/A.ts") => reasons.run(projectOf({ [path]: text }))

it.each([
  ["on the line", "export const a = b as A // b was checked above"],
  ["on the line before", "// b was checked above\nexport const a = b as A"],
  ["before the statement", "// b was checked above\nexport const a = f({\n  x: 1\n}) as A"],
  ["before the property", "f({\n  // b was checked above\n  x: g(\n    b as A\n  )\n})"],
  ["in a block comment", "export const a = b /* checked above */ as A"],
  ["in a directive", "// oxlint-disable-next-line typescript/no-explicit-any -- the driver has no types\nlet a: any"]
])("a reason %s is ok", (_, text) => {
  expect(check(text)).toEqual([])
})

it.each([
  ["as", "export const a = b as A"],
  ["as unknown as", "export const a = b as unknown as A"],
  ["!", "export const a = b[0]!"],
  ["any", "export const a = (b: any) => b"],
  ["Array<any>", "export type A = Array<any>"],
  ["<T>", "export const a = <A>b"]
])("%s without a reason fails", (_, text) => {
  expect(check(`\n${text}\n`)[0]).toMatch(/^libs\/client\/src\/A\.ts:2: .* without a reason in a comment$/)
})

it.each([
  ["a doc comment", "/** The head. */\nexport const a = b as A"],
  ["a directive without a reason", "// oxlint-disable-next-line typescript/no-explicit-any\nexport let a: any"],
  ["a comment two lines before", "// b was checked above\n\nexport const a = b as A"]
])("%s is no reason", (_, text) => {
  expect(check(text)).toHaveLength(1)
})

it.each([
  ["as const", 'export const a = ["b"] as const'],
  ["a renamed import", 'import { a as b } from "a"\nexport { b as c }'],
  ["satisfies", "export const a = b satisfies A"],
  ["words in a text or a comment", 'export const a = "b as any" /* b as any! */'],
  ["not", "export const a = !b && b !== c"]
])("%s needs none", (_, text) => {
  expect(check(text)).toEqual([])
})

it("a test may say ! without a reason, but not as", () => {
  expect(check("const a = b[0]!", "libs/client/test/A.test.ts")).toEqual([])
  expect(check("const a = b as A", "libs/client/test/A.test.ts")).toHaveLength(1)
})
