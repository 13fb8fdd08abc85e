/** `--name value`, `--name=value` and bare `--name` as a table; the rest in order. Unknown names are the command's to refuse. */
export interface ParsedArgs {
  readonly flags: Readonly<Record<string, string>>
  readonly rest: ReadonlyArray<string>
}

export const parseFlags = (args: ReadonlyArray<string>): ParsedArgs => {
  const flags: Record<string, string> = {}
  const rest: Array<string> = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ""
    if (!arg.startsWith("--")) {
      rest.push(arg)
      continue
    }
    const equals = arg.indexOf("=")
    const next = args[i + 1]
    if (equals > 0) flags[arg.slice(2, equals)] = arg.slice(equals + 1)
    else if (next === undefined || next.startsWith("--")) flags[arg.slice(2)] = ""
    else {
      flags[arg.slice(2)] = next
      i++
    }
  }
  return { flags, rest }
}

/** The first flag that is not in `known`, as a sentence; undefined: all are. */
export const unknownFlag = (
  flags: Readonly<Record<string, string>>,
  known: ReadonlyArray<string>
): string | undefined => {
  const found = Object.keys(flags).find((name) => !known.includes(name))
  return found === undefined
    ? undefined
    : `unknown option --${found}; known are ${known.map((name) => `--${name}`).join(", ")}`
}
