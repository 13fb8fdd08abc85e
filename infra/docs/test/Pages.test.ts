/** The generated pages are what the schemas say now, and whole. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { answers, ErrorBody, ops, pushes } from "@parley/protocol/Frame"
import { errorCodes } from "@parley/protocol/ApiError"
import { closeTable } from "@parley/protocol/CloseCode"
import { Limits, wireName } from "@parley/protocol/Limits"
import { assert, describe, it } from "vitest"
import { asDraft7, asyncApiDocument } from "../AsyncApiDocument.ts"
import { fieldTable } from "../FieldTable.ts"
import { endpoints } from "../HttpEndpoints.ts"
import { isObject, type Json, JsonSchemas, tidy } from "../JsonSchemas.ts"
import { openApiDocument } from "../OpenApiDocument.ts"
import { openApiPage } from "../OpenApiPage.ts"
import { pages, stalePages } from "../Pages.ts"
import { deadLinks, protocolPage } from "../ProtocolPage.ts"
import { show } from "../ShowJson.ts"

const root = join(import.meta.dirname, "../../..")

describe("docs", () => {
  it("are not stale: infra/docs/generate.ts makes what is there", async () => {
    assert.deepStrictEqual(await stalePages(root, await pages(root)), [])
  })
})

/** Every `$ref` in a document. */
const refsIn = (value: Json): ReadonlyArray<string> => {
  if (Array.isArray(value)) return value.flatMap(refsIn)
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, inner]) =>
    key === "$ref" && typeof inner === "string" ? [inner] : refsIn(inner)
  )
}
const leadsSomewhere = (document: Json, ref: string): boolean => {
  let at: Json | undefined = document
  for (const part of ref.slice(2).split("/")) at = isObject(at) ? at[part] : undefined
  return at !== undefined
}

describe("openapi.json", () => {
  const document = openApiDocument()
  it("has every endpoint with an example of its answer, and no reference that leads nowhere", () => {
    for (const { method, path } of endpoints) {
      const item = isObject(document["paths"]) ? document["paths"][path.replace(/:(\w+)/g, "{$1}")] : undefined
      const operation = isObject(item) ? item[method.toLowerCase()] : undefined
      assert.include(JSON.stringify(operation), '"example":', `${method} ${path}`)
    }
    for (const ref of refsIn(document)) assert.isTrue(leadsSomewhere(document, ref), ref)
  })
  it("calls numbers in paths and queries numbers, and names the header of API-key callers", () => {
    const text = JSON.stringify(document["paths"])
    assert.include(text, '{"name":"limit","in":"query","schema":{"type":"integer"')
    assert.notInclude(text, "SeqEncoded")
    assert.include(text, '"name":"x-parley-user"')
  })
  it("is shown whole by a page without scripts, and without anything from the network", () => {
    const page = openApiPage(document)
    for (const { path } of endpoints) assert.include(page, path.replace(/:(\w+)/g, "{$1}"))
    assert.notMatch(page, /<script|<link|<img|@import|url\(|src=/i)
    const anchors = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))
    for (const [, target] of page.matchAll(/href="#([^"]+)"/g)) assert.isTrue(anchors.has(target), target)
  })
})

describe("asyncapi.json", () => {
  const document = asyncApiDocument()
  it("has a message for each op, answer and push, and no reference that leads nowhere", () => {
    const components = document["components"]
    const messages = isObject(components) && isObject(components["messages"]) ? Object.keys(components["messages"]) : []
    const wanted = [
      ...Object.keys(ops),
      ...Object.keys(answers).map((name) => `${name}.answer`),
      ...Object.keys(pushes).map((name) => `push.${name}`)
    ]
    assert.deepStrictEqual(messages.toSorted(), wanted.toSorted())
    for (const ref of refsIn(document)) assert.isTrue(leadsSomewhere(document, ref), ref)
  })
  it("says tuples as draft 7 does", () => {
    assert.notInclude(JSON.stringify(document), "prefixItems")
    assert.deepStrictEqual(asDraft7({ type: "array", prefixItems: [{ type: "string" }], items: false }), {
      type: "array",
      items: [{ type: "string" }],
      additionalItems: false
    })
  })
})

describe("protocol.md", () => {
  const page = readFileSync(join(root, "docs/protocol.md"), "utf8")
  it("has every op, push, error, close code and limit", () => {
    for (const name of Object.keys(ops)) assert.include(page, `### Op \`${name}\``)
    for (const name of Object.keys(pushes)) assert.include(page, `### Push \`${name}\``)
    for (const code of errorCodes) assert.include(page, `| \`${code}\` |`)
    for (const { code } of Object.values(closeTable)) assert.include(page, `| ${code} |`)
    for (const name of Object.keys(Limits)) assert.include(page, `| \`${wireName(name)}\` |`)
  })
  it("says of each field what it means", () => {
    const rows = page.split("\n").filter((line) => /^\| `[\w.[\]]+` \| .* \| (yes|no) \|/.test(line))
    assert.isAbove(rows.length, 100)
    assert.deepStrictEqual(
      rows.filter((row) => /\|\s*\|$/.test(row)),
      []
    )
  })
  it("has the fields of an error", () => {
    const errors = page.slice(page.indexOf("## Errors"), page.indexOf("## Limits"))
    for (const field of Object.keys(ErrorBody.fields)) assert.include(errors, `| \`${field}\` |`)
  })
  it("names the port that a server listens on", () => {
    const ports = [...page.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port)
    assert.isAbove(ports.length, 0)
    const configuration = readFileSync(join(root, "docs/configuration.md"), "utf8")
    assert.deepStrictEqual([...new Set(ports)], [/`--port` \|[^|]*\| `(\d+)` \|/.exec(configuration)?.[1]])
  })
  it("is refused with a block that is not there, one that is not shown, or a link that leads nowhere", () => {
    assert.throws(() => protocolPage([{ name: "a.md", text: "<!-- generated: nonsense -->" }]), /a\.md.*nonsense/)
    assert.throws(() => protocolPage([{ name: "a.md", text: "# Nothing" }]), /no fragment shows/)
    assert.deepStrictEqual(deadLinks("# A head\n[x](#a-head) [y](#gone) [z](other.md#gone)"), ["gone"])
  })
})

describe("tidy", () => {
  it("puts the words of a field beside its reference, and lets the field's words win", () => {
    assert.deepStrictEqual(tidy({ allOf: [{ $ref: "#/$defs/Seq" }, { description: "d" }] }), {
      $ref: "#/$defs/Seq",
      description: "d"
    })
    assert.deepStrictEqual(tidy({ type: "string", description: "of all", allOf: [{ description: "of this" }] }), {
      type: "string",
      description: "of this"
    })
  })
  it("keeps two limits of one kind apart", () => {
    const both = { type: "string", minLength: 1, allOf: [{ minLength: 2 }] }
    assert.deepStrictEqual(tidy(both), both)
  })
  it("leaves objects open for later fields, but keeps what the values of a record are", () => {
    assert.deepStrictEqual(tidy({ type: "object", additionalProperties: false }), { type: "object" })
    const record = { type: "object", additionalProperties: { type: "integer" } }
    assert.deepStrictEqual(tidy(record), record)
  })
})

describe("fieldTable", () => {
  it("has a row for each field, also of objects in lists", () => {
    const item = { type: "object", properties: { b: { type: "string", maxLength: 3 } }, required: ["b"] }
    const rows = fieldTable(
      { type: "object", properties: { a: { type: "array", items: item, minItems: 1 } } },
      new JsonSchemas()
    )
    assert.deepStrictEqual(rows.split("\n").slice(2), [
      "| `a` | array of object, at least 1 | no |  |",
      "| `a[].b` | string, at most 3 | yes |  |"
    ])
  })
})

describe("show", () => {
  it("writes JSON that reads back the same", () => {
    const document = asyncApiDocument()
    assert.deepStrictEqual(JSON.parse(show(document)), document)
  })
})
