/** Versions of programs: three numbers, compared from the first. */
import { run } from "./Command.ts"

export type Version = ReadonlyArray<number>

const askMsMax = 10_000

/** What a program says of itself, wherever it prints it; none if it doesn't run. */
export const versionOf = async (path: string, option: string): Promise<Version | undefined> => {
  const ran = await run(path, [option], { msMax: askMsMax }).catch(() => undefined)
  return ran === undefined ? undefined : versionIn(ran.output + ran.errors)
}

export const versionIn = (text: string): Version | undefined =>
  /(\d+)\.(\d+)(?:\.(\d+))?/
    .exec(text)
    ?.slice(1)
    .map((part) => Number(part ?? 0))

export const isAtLeast = (found: Version, min: Version): boolean => {
  for (const [index, part] of min.entries()) {
    if (found[index] !== part) return (found[index] ?? 0) > part
  }
  return true
}
