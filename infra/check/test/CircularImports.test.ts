import { expect, it } from "vitest"
import { circularImports } from "../CircularImports.ts"
import { projectOf } from "./project.ts"

it("modules that import one way are ok", () => {
  const project = projectOf({
    "libs/client/src/A.ts": 'import { b } from "./B.ts"\nimport { c } from "./C.ts"\nexport const a = b + c',
    "libs/client/src/B.ts": 'import { c } from "./C.ts"\nexport const b = c',
    "libs/client/src/C.ts": "export const c = 1"
  })
  expect(circularImports.run(project)).toEqual([])
})

it("a circle fails, with its path", () => {
  const project = projectOf({
    "libs/client/src/A.ts": '\nimport { b } from "./B.ts"\nexport const a = b',
    "libs/client/src/B.ts": 'export { c } from "./C.ts"',
    "libs/client/src/C.ts": 'export const c = () => import("./A.ts")'
  })
  expect(circularImports.run(project)).toEqual([
    "libs/client/src/A.ts:2: libs/client/src/A.ts → libs/client/src/B.ts → libs/client/src/C.ts → libs/client/src/A.ts"
  ])
})

it("a circle through two packages fails", () => {
  const project = projectOf({
    "libs/storage/src/A.ts": 'import { b } from "@parley/protocol/B"\nexport const a = b',
    "libs/protocol/src/B.ts": 'import { a } from "@parley/storage/A"\nexport const b = a'
  })
  expect(circularImports.run(project)).toHaveLength(1)
})

it("a module that imports itself fails", () => {
  expect(circularImports.run(projectOf({ "libs/client/src/A.ts": 'import "./A.ts"' }))).toHaveLength(1)
})

it("a circle of types alone is gone at run time", () => {
  const project = projectOf({
    "libs/client/src/A.ts": 'import type { B } from "./B.ts"\nexport type A = B',
    "libs/client/src/B.ts": 'import type { A } from "./A.ts"\nexport type B = A'
  })
  expect(circularImports.run(project)).toEqual([])
})
