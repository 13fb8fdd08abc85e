/** Runs a tool of `node_modules` on this same Node, and takes what it prints as the places when it fails. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import type { Place } from "./Part.ts"

export const runTool = (root: string, file: string, args: ReadonlyArray<string>): Promise<ReadonlyArray<Place>> =>
  new Promise((resolve, reject) => {
    const tool = join(import.meta.dirname, "../../node_modules", file)
    const child = spawn(process.execPath, [tool, ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
    let printed = ""
    child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (printed += chunk.toString()))
    child.on("error", reject)
    child.on("close", (code, signal) => {
      const lines = printed.split("\n").filter((line) => line.trim() !== "")
      resolve(code === 0 ? [] : lines.length > 0 ? lines : [`${file} ended with ${code ?? signal}`])
    })
  })
