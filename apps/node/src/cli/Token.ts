/** `parley token USER`: asks a server in development mode for a token and prints it. */
import { Option, Schema } from "effect"
import { parseFlags, unknownFlag } from "./Flags.ts"

const Answer = Schema.fromJsonString(Schema.Struct({ token: Schema.String }))

export const token = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const wrong = unknownFlag(flags, ["url"])
  const user = rest[0]
  if (wrong !== undefined || user === undefined) {
    process.stderr.write(`parley token: ${wrong ?? "name a user: parley token USER [--url http://127.0.0.1:8080]"}\n`)
    return 2
  }
  const url = flags["url"] ?? "http://127.0.0.1:8080"
  try {
    const answer = await fetch(`${url}/v1/tokens`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user })
    })
    const text = await answer.text()
    const decoded = Schema.decodeUnknownOption(Answer)(text)
    if (Option.isNone(decoded)) {
      process.stderr.write(`parley token: the server answered ${answer.status}: ${text}\n`)
      return 1
    }
    process.stdout.write(`${decoded.value.token}\n`)
    return 0
  } catch (error) {
    process.stderr.write(
      `parley token: no server at ${url}: ${error instanceof Error ? error.message : String(error)}\n`
    )
    return 1
  }
}
