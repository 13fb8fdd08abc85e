/**
 * `parley inspect channel|session|presence ID`: prints what the entity answers to its Inspect call. On the server's own
 * machine the operator's key is read from the data directory; elsewhere give an API key.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { parseFlags, unknownFlag } from "./Flags.ts"

const kinds = ["channel", "session", "presence"]

const keyOf = (flags: Readonly<Record<string, string>>): string | undefined => {
  if (flags["key"] !== undefined) return flags["key"]
  if (process.env["PARLEY_API_KEY"] !== undefined) return process.env["PARLEY_API_KEY"]
  const file = join(flags["data"] ?? "data", "operator.key")
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined
}

export const inspectCommand = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const [kind = "", id = ""] = rest
  const wrong =
    unknownFlag(flags, ["url", "key", "data", "payloads"]) ??
    (kinds.includes(kind) && id !== "" && rest.length === 2
      ? undefined
      : `usage: parley inspect ${kinds.join("|")} ID [--url URL] [--key KEY | --data DIR] [--payloads]`)
  if (wrong !== undefined) {
    process.stderr.write(`parley inspect: ${wrong}\n`)
    return 2
  }
  const key = keyOf(flags)
  if (key === undefined) {
    process.stderr.write("parley inspect: no key: give --key, PARLEY_API_KEY, or the server's --data directory\n")
    return 2
  }
  const url = flags["url"] ?? "http://127.0.0.1:8080"
  const payloads = flags["payloads"] === undefined ? "" : "?payloads=true"
  try {
    const answer = await fetch(`${url}/v1/inspect/${kind}/${encodeURIComponent(id)}${payloads}`, {
      headers: { authorization: `Bearer ${key}` }
    })
    const text = await answer.text()
    if (!answer.ok) {
      process.stderr.write(`parley inspect: the server answered ${answer.status}: ${text}\n`)
      return 1
    }
    process.stdout.write(`${JSON.stringify(JSON.parse(text), null, 2)}\n`)
    return 0
  } catch (error) {
    process.stderr.write(
      `parley inspect: no server at ${url}: ${error instanceof Error ? error.message : String(error)}\n`
    )
    return 1
  }
}
