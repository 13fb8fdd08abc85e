import { expect, it } from "vitest"
import { fileNames } from "../FileNames.ts"
import { projectOf } from "./project.ts"

it.each([
  "libs/client/src/utils.ts",
  "libs/client/src/Types.ts",
  "libs/core/src/A.ts",
  "docs/misc.md",
  "a/helpers.test.ts"
])("%s fails", (path) => {
  expect(fileNames.run(projectOf({ [path]: "" }))).toHaveLength(1)
})

it.each(["libs/client/src/Backoff.ts", "libs/protocol/src/Ids.ts", "libs/protocol/src/ChannelTypes.ts"])(
  "%s is ok",
  (path) => {
    expect(fileNames.run(projectOf({ [path]: "" }))).toEqual([])
  }
)
