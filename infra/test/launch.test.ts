import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { expect, it } from "vitest"

const launch = join(import.meta.dirname, "../launch.mjs")

/** Starts it on this Node, which is made to call itself another. */
const runAs = (node: string, platform: string, arch: string, args: ReadonlyArray<string>) => {
  const pretend = `
    Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${node}" } })
    Object.defineProperty(process, "platform", { value: "${platform}" })
    Object.defineProperty(process, "arch", { value: "${arch}" })`
  const preload = `data:text/javascript,${encodeURIComponent(pretend)}`
  return spawnSync(process.execPath, ["--import", preload, launch, ...args], { encoding: "utf8" })
}

it("an older Node on a supported machine is told to run npm ci", () => {
  const { status, stderr } = runAs("20.11.0", "linux", "arm64", ["infra/check/main.ts"])
  expect(status).toBe(1)
  expect(stderr).toContain("this is Node 20.11.0 on linux arm64")
  expect(stderr).toContain("run `npm ci`")
})

it("an older Node on another machine is told which are supported, and to install Node", () => {
  const { status, stderr } = runAs("22.1.0", "darwin", "arm64", ["infra/check/main.ts"])
  expect(status).toBe(1)
  expect(stderr).toContain("linux x64 and linux arm64, not for darwin arm64")
  expect(stderr).toContain("install Node 24 or later")
})

it("Node 24 or later runs the file with its own arguments, on any machine", () => {
  const { status, stdout } = runAs("24.0.0", "darwin", "arm64", ["infra/test/argv.ts", "one", "--two"])
  expect(stdout.trim()).toBe('["argv.ts","one","--two"]')
  expect(status).toBe(3)
})

it("without a file it says how it is used", () => {
  expect(runAs("24.0.0", "linux", "x64", []).status).toBe(2)
})
