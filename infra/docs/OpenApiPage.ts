/**
 * docs/openapi.html: the OpenAPI document for people, as one file that needs no network and no script: what is folded,
 * the browser folds by itself. Made from the JSON document alone.
 */
import { escape, inline, schemaBlock, typeText } from "./SchemaHtml.ts"
import { isObject, type Json, type JsonObject } from "./JsonSchemas.ts"
import { show } from "./ShowJson.ts"

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #2563a8; }
@media (prefers-color-scheme: dark) { :root { --accent: #7fb2e8; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem; border-right: 1px solid var(--line); font-size: 13px; }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0; }
nav li { padding: 1px 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
main { padding: 1rem 2rem 4rem; max-width: 60rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
code { background: var(--soft); padding: 0 .25em; border-radius: 3px; }
pre { background: var(--soft); padding: .75rem; border-radius: 4px; overflow: auto; }
pre code { background: none; padding: 0; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); padding: .3rem .5rem .3rem 0; }
th { font-weight: 600; font-size: 13px; }
article { border: 1px solid var(--line); border-radius: 6px; padding: .25rem 1rem 1rem; margin: 1rem 0; }
.method { font: 700 12px ui-monospace, monospace; color: var(--accent); display: inline-block; min-width: 3.6em; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; border: 0; } main { padding: 1rem; } }
`

interface Operation {
  readonly method: string
  readonly path: string
  readonly tag: string
  readonly body: JsonObject
}

const text = (value: Json | undefined): string => (typeof value === "string" ? value : "")
const list = (value: Json | undefined): ReadonlyArray<JsonObject> =>
  Array.isArray(value) ? value.filter(isObject) : []
const object = (value: Json | undefined): JsonObject => (isObject(value) ? value : {})

const operationsOf = (document: JsonObject): ReadonlyArray<Operation> =>
  Object.entries(object(document["paths"])).flatMap(([path, item]) =>
    Object.entries(object(item)).map(([method, body]) => {
      const tags = object(body)["tags"]
      return { method: method.toUpperCase(), path, tag: Array.isArray(tags) ? text(tags[0]) : "", body: object(body) }
    })
  )

const anchorOf = ({ body }: Operation): string => text(body["operationId"])

export const openApiPage = (document: JsonObject): string => {
  const info = object(document["info"])
  const operations = operationsOf(document)
  const tags = list(document["tags"]).map(({ name }) => text(name))
  const schemas = Object.entries(object(object(document["components"])["schemas"]))
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(text(info["title"]))}</title>
<style>${style}</style>
<nav>
${tags
  .map(
    (tag) =>
      `<b>${escape(tag)}</b>\n<ul>${operations
        .filter((o) => o.tag === tag)
        .map(navItem)
        .join("")}</ul>`
  )
  .join("\n")}
<b>schemas</b>
<ul>${schemas.map(([name]) => `<li><a href="#schema-${name}">${name}</a></li>`).join("")}</ul>
</nav>
<main>
<h1>${escape(text(info["title"]))}</h1>
<p>${inline(text(info["description"]))}</p>
<p>The document that this page shows: <a href="openapi.json">openapi.json</a>. The live protocol:
<a href="protocol.md">protocol.md</a>.</p>
<h2>Authentication</h2>
${Object.values(object(object(document["components"])["securitySchemes"]))
  .map((scheme) => `<p>${inline(text(object(scheme)["description"]))}</p>`)
  .join("\n")}
${tags
  .map(
    (tag) =>
      `<h2>${escape(tag)}</h2>\n${operations
        .filter((o) => o.tag === tag)
        .map(article)
        .join("\n")}`
  )
  .join("\n")}
<h2>Schemas</h2>
${schemas.map(([name, schema]) => `<article id="schema-${name}">\n<h3>${name}</h3>\n${schemaBlock(schema)}\n</article>`).join("\n")}
</main>
</html>
`
}

const navItem = (operation: Operation): string =>
  `<li><a href="#${anchorOf(operation)}"><span class="method">${operation.method}</span> ${escape(text(operation.body["summary"]))}</a></li>`

const article = (operation: Operation): string => {
  const { body, method, path } = operation
  const secured = list(body["security"]).length > 0
  return `<article id="${anchorOf(operation)}">
<h3>${escape(text(body["summary"]))}</h3>
<p><span class="method">${method}</span> <code>${escape(path)}</code>${secured ? "" : " (without authentication)"}</p>
<p>${inline(text(body["description"]))}</p>
${parameters(list(body["parameters"]))}
${isObject(body["requestBody"]) ? `<h4>Body</h4>\n${content(body["requestBody"])}` : ""}
<h4>Answers</h4>
${Object.entries(object(body["responses"])).map(answer).join("\n")}
</article>`
}

const parameters = (rows: ReadonlyArray<JsonObject>): string =>
  rows.length === 0
    ? ""
    : `<h4>Parameters</h4>
<table><tr><th>name</th><th>in</th><th>type</th><th>required</th><th>meaning</th></tr>
${rows.map((row) => `<tr><td><code>${escape(text(row["name"]))}</code></td><td>${escape(text(row["in"]))}</td><td>${typeText(row["schema"] ?? {})}</td><td>${row["required"] === true ? "yes" : "no"}</td><td>${inline(text(row["description"]))}</td></tr>`).join("\n")}
</table>`

/** What goes well is open, the errors are folded. */
const answer = ([status, response]: [string, Json]): string => {
  const description = inline(text(object(response)["description"]))
  return `<details${status < "300" ? " open" : ""}><summary><b>${status}</b> ${description}</summary>\n${content(object(response))}\n</details>`
}

const content = (body: JsonObject): string =>
  Object.values(object(body["content"]))
    .map((media) => {
      const { example, schema = {} } = object(media)
      const shown = example === undefined ? "" : `<pre><code>${escape(show(example))}</code></pre>`
      return `${schemaBlock(schema)}\n${shown}`
    })
    .join("\n")
