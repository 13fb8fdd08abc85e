import { expect, it } from "vitest"
import { prose } from "../Prose.ts"
import { projectOf } from "./project.ts"

// Put together, so that this file names none of it.
const check = (...pieces: ReadonlyArray<string>) => prose.run(projectOf({ "docs/a.md": `fine\n${pieces.join("")}\n` }))

it.each([
  ["a path", "see /", "work/main"],
  ["a path at the beginning", "/", "root/x"],
  ["a path in quotes", "`/", "work/x`"],
  ["a registry", "https://registry.", "npmjs.org/ws"],
  ["a lock file's host", '"resolved": "', 'https://a.b/ws.tgz"']
])("%s fails", (_, ...pieces) => {
  expect(check(...pieces)).toEqual([expect.stringMatching(/^docs\/a\.md:2: names "/)])
})

it.each([
  ["a longer path", "see apps/", "work/x and /home/", "work/x"],
  ["a workspace's link", '"resolved": "', 'libs/client"']
])("%s is ok", (_, ...pieces) => {
  expect(check(...pieces)).toEqual([])
})
