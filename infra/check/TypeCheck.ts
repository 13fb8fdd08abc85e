/** The type check: one project over everything, by the native TypeScript. */
import type { Part } from "./Part.ts"
import { runTool } from "./Tool.ts"

export const typeCheck: Part = {
  name: "types",
  run: ({ root }) => runTool(root, "typescript/bin/tsc", ["--project", "tsconfig.json", "--pretty", "false"])
}
