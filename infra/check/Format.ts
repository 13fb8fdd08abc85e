/** The format: oxfmt, configured in `.oxfmtrc.json`. `npm run format` puts it right. */
import type { Part } from "./Part.ts"
import { runTool } from "./Tool.ts"

export const format: Part = {
  name: "format",
  run: async ({ root }) => {
    const places = await runTool(root, "oxfmt/bin/oxfmt", ["--list-different"])
    return places.map((path) => `${path}: not formatted (npm run format)`)
  }
}

/** With no paths: all files. */
export const formatAll = (root: string, paths: ReadonlyArray<string>): Promise<ReadonlyArray<string>> =>
  runTool(root, "oxfmt/bin/oxfmt", ["--write", ...paths])
