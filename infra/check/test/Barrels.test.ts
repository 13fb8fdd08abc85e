import { expect, it } from "vitest"
import { barrels } from "../Barrels.ts"
import { projectOf } from "./project.ts"

const check = (text: string) => barrels.run(projectOf({ "libs/client/src/index.ts": text }))

it.each([
  ["export *", 'export * from "./A.ts"\nexport * as B from "./B.ts"'],
  ["export { … } from", 'export { a } from "./A.ts"\nexport type { B } from "./B.ts"'],
  ["import and export", 'import { a } from "./A.ts"\nexport { a }\nexport * from "./B.ts"']
])("a module of nothing but %s fails", (_, text) => {
  expect(check(text)).toHaveLength(1)
})

it.each([
  ["declares something", 'export { a } from "./A.ts"\nexport const b = 1'],
  ["does something", 'import { a } from "./A.ts"\na()'],
  ["is empty", ""]
])("a module that %s is ok", (_, text) => {
  expect(check(text)).toEqual([])
})
