import { expect, it } from "vitest"
import { importDirection } from "../ImportDirection.ts"
import { projectOf } from "./project.ts"

const check = (path: string, specifier: string) =>
  importDirection.run(projectOf({ [path]: `\nimport { a } from "${specifier}"\n` }))

it.each([
  ["libs/protocol/src/Event.ts", "./Ids.ts"],
  ["libs/protocol/src/Event.ts", "effect"],
  ["libs/storage/src/EventLog.ts", "@parley/protocol/Ids"],
  ["libs/storage/src/sqlite/SqliteEventLog.ts", "../EventLog.ts"],
  ["libs/client/src/ChatClient.ts", "@parley/protocol/Frame"],
  ["libs/actors/src/channel/Channel.ts", "@parley/storage/EventLog"],
  ["libs/actors/test/channel/Channel.test.ts", "@parley/storage/sqlite/SqliteEventLog"],
  ["libs/storage/test/redis/Inbox.test.ts", "../../../../infra/services/Redis.ts"],
  ["apps/node/src/Node.ts", "@parley/storage/sqlite/SqliteEventLog"],
  ["apps/console/src/main.ts", "@parley/node/Node"],
  ["bench/src/send.ts", "@parley/node/Node"],
  ["test/chat.test.ts", "@parley/node/Node"],
  ["test/log.test.ts", "../libs/storage/test/EventLogContract.ts"],
  ["infra/faults/Cluster.ts", "@parley/client/ChatClient"]
])("%s may import %s", (path, specifier) => {
  expect(check(path, specifier)).toEqual([])
})

it.each([
  ["libs/protocol/src/Event.ts", "@parley/storage/EventLog"],
  ["libs/storage/src/EventLog.ts", "./sqlite/SqliteEventLog.ts"],
  ["libs/storage/src/EventLog.ts", "@parley/actors/channel/Channel"],
  ["libs/client/src/ChatClient.ts", "@parley/storage/EventLog"],
  ["libs/client/test/ChatClient.test.ts", "@parley/actors/channel/Channel"],
  ["libs/actors/src/channel/Channel.ts", "@parley/storage/sqlite/SqliteEventLog"],
  ["libs/actors/src/channel/Channel.ts", "@parley/client/ChatClient"],
  ["libs/actors/src/channel/Channel.ts", "@parley/node/Node"],
  ["libs/actors/src/channel/Channel.ts", "../../test/channel/Model.ts"],
  ["libs/actors/test/Channel.test.ts", "@parley/node/Node"],
  ["apps/node/src/Node.ts", "../../../infra/services/Redis.ts"],
  ["infra/faults/Cluster.ts", "@parley/node/Node"],
  ["apps/node/src/Node.ts", "../../../libs/protocol/src/Ids.ts"],
  ["apps/node/src/Node.ts", "@parley/protocol"],
  ["apps/node/src/Node.ts", "@parley/nothing/Ids"]
])("%s may not import %s", (path, specifier) => {
  expect(check(path, specifier)).toEqual([expect.stringContaining(`${path}:2: `)])
})

it("sees types, re-exports and dynamic imports as well", () => {
  const text = [
    'import type { a } from "@parley/node/A"',
    'export { b } from "@parley/node/B"',
    'export * from "@parley/node/C"',
    'export const d = () => import("@parley/node/D")',
    'export type E = import("@parley/node/E").E'
  ].join("\n")
  expect(importDirection.run(projectOf({ "libs/protocol/src/Event.ts": text }))).toHaveLength(5)
})
