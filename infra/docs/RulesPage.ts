/**
 * docs/rules.md: the rules of the design, each with the tests that name it. A test names a rule by its mark (†7) in its
 * own name or in that of the group it is in.
 */
import type { SourceFile } from "../check/Part.ts"
import { type Rule, rules } from "./Rules.ts"

export interface NamedTest {
  readonly file: string
  /** As written; what is computed in it is shown as `…`. */
  readonly name: string
  readonly marks: ReadonlyArray<number>
}

/** The first argument of a call that defines a test or a group, where it is a string with a mark. */
const title =
  /\b(?:it|test|describe|breaks|named)(?:\.\w+)*\s*(?:\([^()"'`]*\)\s*)?\(\s*(?:\/\/[^\n]*\n\s*)?(?:"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g

const marksIn = (name: string): ReadonlyArray<number> => [
  ...new Set([...name.matchAll(/†(\d+)/g)].map(([, number]) => Number(number)))
]

export const namedTests = (files: ReadonlyArray<SourceFile>): ReadonlyArray<NamedTest> =>
  files
    .filter(({ path, text }) => /(^|\/)test\/.*\.ts$/.test(path) && text.includes("†"))
    .flatMap(({ path, text }) =>
      [...text.matchAll(title)].flatMap(([, quoted, template]) => {
        const name = (quoted ?? template ?? "").replace(/\$\{[^}]*\}/g, "…").replaceAll("\\", "")
        const marks = marksIn(name)
        return marks.length === 0 ? [] : [{ file: path, name, marks }]
      })
    )

export const testsOf = (rule: Rule, tests: ReadonlyArray<NamedTest>): ReadonlyArray<NamedTest> =>
  tests.filter(({ marks }) => marks.includes(rule.number))

/** Rules that no test names. */
export const untested = (tests: ReadonlyArray<NamedTest>): ReadonlyArray<number> =>
  rules.filter((rule) => testsOf(rule, tests).length === 0).map(({ number }) => number)

/** Marks that name no rule. */
export const unknownMarks = (tests: ReadonlyArray<NamedTest>): ReadonlyArray<string> =>
  tests
    .filter(({ marks }) => marks.some((mark) => mark < 1 || mark > rules.length))
    .map(({ file, name }) => `${file}: ${name}`)

const intro = `<!-- Made by \`node infra/launch.mjs infra/docs/generate.ts\` from infra/docs/Rules.ts and the names of the tests: change those, not this page. -->

# Rules

The numbered rules of the design, and the tests that carry their marks. The code of each rule was taken out, and a test
of the rule failed. A rule that no test names makes the suite fail.
`

const section = (rule: Rule, tests: ReadonlyArray<NamedTest>): string => {
  const byFile = Map.groupBy(testsOf(rule, tests), ({ file }) => file)
  const lines = [...byFile].map(
    ([file, named]) => `- \`${file}\`\n${named.map(({ name }) => `  - ${name}`).join("\n")}`
  )
  const left = rule.severalNodes === undefined ? [] : [`Needs several nodes: ${rule.severalNodes}`]
  return [`## †${rule.number}`, rule.says, lines.join("\n"), ...left].join("\n\n")
}

export const rulesPage = (files: ReadonlyArray<SourceFile>): string => {
  const tests = namedTests(files)
  return `${intro}\n${rules.map((rule) => section(rule, tests)).join("\n\n")}\n`
}
