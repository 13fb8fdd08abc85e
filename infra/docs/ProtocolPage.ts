/**
 * docs/protocol.md: prose from `libs/protocol/docs`, in the order of the file names, with the tables that are made from
 * the schemas in place of `<!-- generated: name -->`. Every link inside the page leads to a heading.
 */
import { errorCodes, errorTable } from "@parley/protocol/ApiError"
import { closeTable } from "@parley/protocol/CloseCode"
import { ChannelEvent, UserEvent } from "@parley/protocol/Event"
import { answers, ErrorBody, type OpName, ops, type PushName, pushes } from "@parley/protocol/Frame"
import { Millis } from "@parley/protocol/Ids"
import { helloLimits, Limits, wireName } from "@parley/protocol/Limits"
import { answerExamples, errorExamples } from "@parley/protocol/examples/AnswerExamples"
import { eventExamples, userEventExamples } from "@parley/protocol/examples/EventExamples"
import { opExamples } from "@parley/protocol/examples/OpExamples"
import { pushExamples } from "@parley/protocol/examples/PushExamples"
import { anchor, fieldTable, table, typeOf } from "./FieldTable.ts"
import { endpoints } from "./HttpEndpoints.ts"
import { isObject, type JsonObject, JsonSchemas, toJson } from "./JsonSchemas.ts"
import { limitMeanings } from "./LimitMeanings.ts"
import { show } from "./ShowJson.ts"

export interface Fragment {
  readonly name: string
  readonly text: string
}

const generatedNote =
  "<!-- Made by `node infra/launch.mjs infra/docs/generate.ts` from libs/protocol: change the fragments or the schemas, not this page. -->"

const keysOf = <Key extends string>(of: { readonly [K in Key]: unknown }) =>
  Object.keys(of).filter((key): key is Key => key in of)
const opNames = keysOf(ops)
const pushNames = keysOf(pushes)
const limitNames = keysOf(Limits)
const eventKinds = keysOf(eventExamples)
const personalKinds = keysOf(userEventExamples)

const code = (value: unknown): string => `\`\`\`json\n${show(toJson(value))}\n\`\`\``
const described = (schema: JsonObject): string => {
  const description = schema["description"]
  return typeof description === "string" ? description : ""
}

/** The blocks by name. */
const blocks = (): Readonly<Record<string, string>> => {
  const schemas = new JsonSchemas()
  for (const schema of [ChannelEvent, UserEvent, Millis, ErrorBody]) schemas.of(schema)
  return {
    ops: opNames.map((name) => opSection(name, schemas)).join("\n\n"),
    pushes: pushNames.map((name) => pushSection(name, schemas)).join("\n\n"),
    error: fieldTable(schemas.definition("Error"), schemas),
    events: eventKinds.map((kind) => eventSection(`${pascal(kind)}Event`, eventExamples[kind], schemas)).join("\n\n"),
    personal: personalKinds
      .map((kind) => eventSection(`Personal${pascal(kind)}`, userEventExamples[kind], schemas))
      .join("\n\n"),
    ids: ["UserId", "DeviceId", "ChannelId", "ClientId"].map((name) => idSection(name, schemas)).join("\n\n"),
    values: [
      "Seq",
      "Position",
      "Millis",
      "Text",
      "Name",
      "Topic",
      "Role",
      "Fanout",
      "ChannelHead",
      "ChannelSync",
      "PresenceState",
      "Receipt",
      "UserPresence"
    ]
      .map((name) => valueSection(name, schemas))
      .join("\n\n"),
    errors: errorsTable(),
    closeCodes: table(
      ["code", "name", "then", "meaning"],
      Object.entries(closeTable).map(([name, row]) => [`${row.code}`, `\`${name}\``, row.then, row.text])
    ),
    limits: table(
      ["limit", "value", "in hello", "meaning"],
      limitNames.map((name) => {
        const { meaning, unit } = limitMeanings[name]
        const told = wireName(name)
        return [`\`${told}\``, `${Limits[name]} ${unit}`, told in helloLimits ? "yes" : "", meaning]
      })
    ),
    http: table(
      ["call", "what it does"],
      endpoints.map(({ method, path, summary }) => [`\`${method} ${path}\``, summary])
    ),
    helloExample: code({ ...opExamples.hello, token: "eyJhbGciOi…" }),
    helloAnswerExample: code({ re: 1, ok: answerExamples.hello }),
    errorExample: code({ re: 6, error: errorExamples.rate_limited })
  }
}

const pascal = (name: string): string => name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())

const opSection = (name: OpName, schemas: JsonSchemas): string => {
  const request = schemas.of(ops[name])
  const answer = schemas.of(answers[name])
  return [
    `### Op \`${name}\``,
    described(request),
    fieldTable(request, schemas, ["id", "op"]),
    code(opExamples[name]),
    "Answer:",
    fieldTable(answer, schemas),
    code({ re: opExamples[name].id, ok: answerExamples[name] })
  ].join("\n\n")
}

const pushSection = (name: PushName, schemas: JsonSchemas): string => {
  const push = schemas.of(pushes[name])
  return [`### Push \`${name}\``, described(push), fieldTable(push, schemas, ["ev"]), code(pushExamples[name])].join(
    "\n\n"
  )
}

const eventSection = (name: string, example: unknown, schemas: JsonSchemas): string => {
  const schema = schemas.definition(name)
  return [`### ${name}`, described(schema), fieldTable(schema, schemas), code(example)].join("\n\n")
}

const idSection = (name: string, schemas: JsonSchemas): string => {
  const schema = schemas.definition(name)
  return [`### ${name}`, described(schema), `\`\`\`text\n${String(schema["pattern"])}\n\`\`\``].join("\n\n")
}

const valueSection = (name: string, schemas: JsonSchemas): string => {
  const schema = schemas.definition(name)
  const shape = isObject(schema["properties"]) ? fieldTable(schema, schemas) : `Type: ${typeOf(schema)}.`
  return [`### ${name}`, described(schema), shape].join("\n\n")
}

const errorsTable = (): string =>
  table(
    ["code", "HTTP", "retryable", "meaning", "what the client does"],
    errorCodes.map((name) => {
      const row = errorTable[name]
      return [`\`${name}\``, `${row.status}`, row.retryable ? "yes" : "no", row.text, row.client]
    })
  )

/** Assembles the page; throws where a fragment names no block, a block is not used, or a link leads nowhere. */
export const protocolPage = (fragments: ReadonlyArray<Fragment>): string => {
  const known = blocks()
  const used = new Set<string>()
  const body = fragments.map(({ name, text }) =>
    text.trim().replaceAll(/<!-- generated: (\w+) -->/g, (_, block: string) => {
      const found = known[block]
      if (found === undefined) throw new Error(`${name}: there is no block ${block}`)
      used.add(block)
      return found
    })
  )
  const unused = Object.keys(known).filter((name) => !used.has(name))
  if (unused.length > 0) throw new Error(`blocks that no fragment shows: ${unused.join(", ")}`)
  const page = [generatedNote, ...body].join("\n\n") + "\n"
  const lost = deadLinks(page)
  if (lost.length > 0) throw new Error(`links without a heading: ${lost.join(", ")}`)
  return page
}

/** Links inside a page that no heading answers. */
export const deadLinks = (page: string): ReadonlyArray<string> => {
  const headings = new Set([...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchor(heading)))
  const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, target = ""]) => target)
  return [...new Set(links)].filter((target) => !headings.has(target))
}
