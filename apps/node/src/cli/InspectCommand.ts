/**
 * `parley inspect channel|session|presence ID`: prints what the entity answers to its Inspect call.
 */
import { parseFlags, unknownFlag } from "./Flags.ts"
import { operatorCall, operatorFlags } from "./OperatorCall.ts"

const kinds = ["channel", "session", "presence"]

export const inspectCommand = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const [kind = "", id = ""] = rest
  const wrong =
    unknownFlag(flags, [...operatorFlags, "payloads"]) ??
    (kinds.includes(kind) && id !== "" && rest.length === 2
      ? undefined
      : `usage: parley inspect ${kinds.join("|")} ID [--url URL] [--key KEY | --data DIR] [--payloads]`)
  if (wrong !== undefined) {
    process.stderr.write(`parley inspect: ${wrong}\n`)
    return 2
  }
  const payloads = flags["payloads"] === undefined ? "" : "?payloads=true"
  const answer = await operatorCall("inspect", flags, `/v1/inspect/${kind}/${encodeURIComponent(id)}${payloads}`)
  if (typeof answer === "number") return answer
  process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`)
  return 0
}
