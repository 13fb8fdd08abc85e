/** What a process is called, and which one an operator means. */
import { expect, it } from "vitest"
import { runnerNamePattern } from "@parley/actors/cluster/LeaseEntries"
import { edgeName } from "@parley/actors/cluster/Subjects"
import { freshStart, isNodeCalled, runnerNameOf, startOf } from "../src/NodeStart.ts"

it("a runner's name is new at each start, and a token whatever the node or its host is called", () => {
  const name = (given: string) => runnerNameOf({ name: given }, freshStart())
  expect(name("a1.chat.example.com")).toMatch(/^a1-chat-example-com-[0-9a-f]{12}$/)
  expect(name("a1")).not.toBe(name("a1"))
  for (const given of ["", "ü é", "x".repeat(300)]) expect(name(given)).toMatch(runnerNamePattern)
})

it("an operator means a node by its name or by all of an edge's or runner's, never by a part", () => {
  const start = freshStart()
  for (const node of ["a1", "a1.example"]) {
    const [edge, runner] = [edgeName(node, start), runnerNameOf({ name: node }, start)]
    for (const name of [edge, runner])
      expect([isNodeCalled(name, node), isNodeCalled(name, name)]).toEqual([true, true])
    expect(startOf(edge)).toBe(startOf(runner))
    expect([isNodeCalled(edge, "a"), isNodeCalled(runner, "a")]).toEqual([false, false])
  }
  expect(isNodeCalled("a1-b-0123456789ab", "a1")).toBe(false)
})
