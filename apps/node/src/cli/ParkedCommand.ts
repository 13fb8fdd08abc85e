/**
 * `parley parked`: lists events that could not be stored or given to members; `parley parked retry CONSUMER
 * channel|user ID` tries them again, `parley parked drop CONSUMER channel|user ID SEQ` gives a text up.
 */
import { operatorCall, operatorFlags } from "./OperatorCall.ts"
import { parseFlags, unknownFlag } from "./Flags.ts"

const usage =
  "usage: parley parked [list] | parked retry CONSUMER channel|user ID | parked drop CONSUMER channel|user ID SEQ [--url URL] [--key KEY | --data DIR]"

interface Wish {
  readonly method: "GET" | "POST" | "DELETE"
  readonly path: string
}

const wishOf = ([action = "list", consumer = "", topic = "", id = "", seq]: ReadonlyArray<string>):
  | Wish
  | undefined => {
  if (action === "list") return consumer === "" ? { method: "GET", path: "/v1/parked" } : undefined
  if (consumer === "" || id === "" || (topic !== "channel" && topic !== "user")) return undefined
  const path = `/v1/parked/${encodeURIComponent(consumer)}/${topic}/${encodeURIComponent(id)}`
  if (action === "retry" && seq === undefined) return { method: "POST", path: `${path}/retry` }
  if (action === "drop" && seq !== undefined && /^\d+$/.test(seq)) return { method: "DELETE", path: `${path}/${seq}` }
  return undefined
}

interface Listed {
  readonly events: ReadonlyArray<{
    readonly consumer: string
    readonly topic: string
    readonly id: string
    readonly seq: number
    readonly kind: string
    readonly why: string
    readonly parked_at: number
  }>
}

const show = (answer: Listed): string =>
  answer.events.length === 0
    ? "nothing is parked\n"
    : answer.events
        .map(
          ({ consumer, id, kind, parked_at, seq, topic, why }) =>
            `${new Date(parked_at).toISOString()} ${consumer} ${topic} ${id} ${seq} ${kind}: ${why === "" ? "waits behind" : why}\n`
        )
        .join("")

export const parkedCommand = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const wish = wishOf(rest)
  const wrong = unknownFlag(flags, operatorFlags) ?? (wish === undefined || rest.length > 5 ? usage : undefined)
  if (wish === undefined || wrong !== undefined) {
    process.stderr.write(`parley parked: ${wrong ?? usage}\n`)
    return 2
  }
  const answer = await operatorCall("parked", flags, wish.path, wish.method)
  if (typeof answer === "number") return answer
  // as: the server's ParkedList
  process.stdout.write(wish.method === "GET" ? show(answer as Listed) : `${JSON.stringify(answer)}\n`)
  return 0
}
