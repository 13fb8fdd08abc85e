/**
 * What is new at each start of a process: part of its name as an edge and as a runner, for owners number their links to an
 * edge from 1, and nobody must take a runner for an earlier one. Both roles of a process have the same, so that whoever
 * names one means the other as well.
 */
import { randomBytes } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import type { NodeSettings } from "./NodeConfig.ts"
import { nodeName } from "./NodeIdentity.ts"

/** Of what the node is called, so that all of a runner's name is a token of keys (`runnerNamePattern`). */
const nameCharsMax = 80

export const freshStart = (): string => randomBytes(6).toString("hex")

/** Undefined: each role takes one of its own, for on one machine nobody asks. */
export const NodeStart = Context.Reference<string | undefined>("@parley/node/NodeStart", {
  defaultValue: () => undefined
})

export const layerNodeStart = Layer.effect(NodeStart, Effect.sync(freshStart))

const tokenOf = (name: string): string => name.replaceAll(/[^A-Za-z0-9_-]/g, "-").slice(0, nameCharsMax)

export const runnerNameOf = (settings: Pick<NodeSettings, "name">, start: string): string =>
  `${tokenOf(nodeName(settings))}-${start}`

/** Whether an operator who says `node` means this edge or runner: by its whole name, or by what the node is called. */
export const isNodeCalled = (name: string, node: string): boolean => {
  const called = /^(.*)[-/][0-9a-f]{12}$/.exec(name)?.[1]
  return name === node || called === node || called === tokenOf(node)
}

/** The same for an edge and a runner of one process. */
export const startOf = (name: string): string => name.slice(-12)
