/** A network of namespaces: who hears whom, before, during and after cuts. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import { whyNoNetwork } from "../PrivateNetwork.ts"

const program = join(import.meta.dirname, "networkProgram.ts")

it("cuts both ways or one, slows, heals, and leaves nothing", { timeout: 60_000 }, async (ctx) => {
  const why = whyNoNetwork()
  if (why !== undefined) return ctx.skip(why)
  const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: 50_000 })
  const seen: unknown = JSON.parse(stdout)
  expect(seen).toEqual({
    whole: ["a answers", "b answers"],
    cut: ["a is silent to b", "a answers", "b answers"],
    // What b sends arrives at a, but no answer to it comes back: a connection needs both ways.
    oneWay: ["a heard b", "b is silent"],
    slow: true,
    healed: ["a answers", "b answers"]
  })
  const left = (await promisify(execFile)("ip", ["netns", "list"])).stdout
  expect(left).not.toMatch(/^a\b/m)
})
