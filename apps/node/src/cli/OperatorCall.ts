/**
 * A call of an operator's command to the server's HTTP API. On the server's own machine the operator's key is read from
 * the data directory; elsewhere an API key is given.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

type Flags = Readonly<Record<string, string>>

export type OperatorMethod = "GET" | "POST" | "PUT" | "DELETE"

export const operatorFlags = ["url", "key", "data"]

const keyOf = (flags: Flags): string | undefined => {
  if (flags["key"] !== undefined) return flags["key"]
  if (process.env["PARLEY_API_KEY"] !== undefined) return process.env["PARLEY_API_KEY"]
  const file = join(flags["data"] ?? "data", "operator.key")
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined
}

/** Where to ask and with what, or the command's exit code after it was said what is missing. */
export const operatorAccess = (
  command: string,
  flags: Flags
): { readonly url: string; readonly key: string } | number => {
  const key = keyOf(flags)
  if (key !== undefined) return { url: flags["url"] ?? "http://127.0.0.1:8080", key }
  process.stderr.write(`parley ${command}: no key: give --key, PARLEY_API_KEY, or the server's --data directory\n`)
  return 2
}

/** The answer, or the command's exit code after it was said why there is none. */
export const operatorCall = async (
  command: string,
  flags: Flags,
  path: string,
  method: OperatorMethod = "GET"
): Promise<object | number> => {
  const complain = (what: string, code: number): number => {
    process.stderr.write(`parley ${command}: ${what}\n`)
    return code
  }
  const access = operatorAccess(command, flags)
  if (typeof access === "number") return access
  const { key, url } = access
  try {
    const answer = await fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${key}` } })
    const text = await answer.text()
    // as: every answer of the API is an object
    return answer.ok ? (JSON.parse(text) as object) : complain(`the server answered ${answer.status}: ${text}`, 1)
  } catch (error) {
    return complain(`no server at ${url}: ${error instanceof Error ? error.message : String(error)}`, 1)
  }
}
