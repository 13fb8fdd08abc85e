/** The lint: oxlint, configured in `.oxlintrc.json`. */
import type { Part } from "./Part.ts"
import { runTool } from "./Tool.ts"

export const lint: Part = {
  name: "lint",
  run: ({ root }) =>
    runTool(root, "oxlint/bin/oxlint", ["--format=unix", "--deny-warnings", "--report-unused-disable-directives"])
}
