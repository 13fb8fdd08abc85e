/** Names such as `utils` say nothing about what is inside and attract everything: name the thing. */
import type { Part } from "./Part.ts"

const sayNothing = new Set(["util", "utils", "common", "helper", "helpers", "types", "core", "misc"])

export const fileNames = {
  name: "file names",
  run: ({ files }) =>
    files.flatMap(({ path }) => {
      const empty = path.split("/").find((part) => sayNothing.has(part.replace(/\..*$/, "").toLowerCase()))
      return empty === undefined ? [] : [`${path}:1: "${empty}" says nothing: name the thing`]
    })
} satisfies Part
