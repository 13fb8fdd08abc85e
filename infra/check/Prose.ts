/**
 * Nothing in the project names the machine it was written on or a registry's host. The phrases are put together from
 * pieces, so that this file doesn't find itself.
 */
import type { Part } from "./Part.ts"

const phrases: ReadonlyArray<string> = [
  ["/", "work/"],
  ["/", "root/"],
  ["/tmp/", "bash_jobs"],
  [".", "library/"],
  ["registry.", "npmjs"],
  ["registry.", "yarnpkg"],
  ['"resolved": "', "http"]
].map((pieces) => pieces.join(""))

export const prose = {
  name: "prose",
  run: ({ files }) =>
    files.flatMap(({ path, text }) => {
      if (!phrases.some((phrase) => text.includes(phrase))) return []
      return text.split("\n").flatMap((line, index) => {
        const found = phrases.find((phrase) => namesIt(line, phrase))
        return found === undefined ? [] : [`${path}:${index + 1}: names "${found}"`]
      })
    })
} satisfies Part

/** A path counts where it begins: not in the middle of another path or of an address. */
const namesIt = (line: string, phrase: string): boolean => {
  for (let at = line.indexOf(phrase); at !== -1; at = line.indexOf(phrase, at + 1)) {
    if (!phrase.startsWith("/") || !/[\w.}@-]/.test(line[at - 1] ?? " ")) return true
  }
  return false
}
