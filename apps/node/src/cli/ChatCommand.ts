/** `parley chat --as NAME`: the options of the terminal client. */
import { runChat } from "./chat/Chat.ts"
import { parseFlags, unknownFlag } from "./Flags.ts"

export const chat = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const { as, channel = rest[0], url } = flags
  const wrong =
    unknownFlag(flags, ["as", "url", "channel"]) ??
    (rest.length > 1 ? `unexpected ${rest[1]}` : as === undefined || as === "" ? "name yourself: --as NAME" : undefined)
  if (wrong !== undefined || as === undefined) {
    process.stderr.write(`parley chat: ${wrong}\nusage: parley chat --as NAME [--url URL] [--channel CHANNEL]\n`)
    return 2
  }
  return runChat({ as, ...(url === undefined ? {} : { url }), ...(channel === undefined ? {} : { channel }) })
}
