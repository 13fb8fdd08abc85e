/** Each numbered rule of the design has a test that names it; what only several nodes can show is listed. */
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { readFiles } from "../../check/Files.ts"
import { rules } from "../Rules.ts"
import { namedTests, rulesPage, unknownMarks, untested } from "../RulesPage.ts"

const root = join(import.meta.dirname, "../../..")

describe("rules", () => {
  const tests = namedTests(readFiles(root))

  it("are all there, each with a test that carries its mark", () => {
    assert.deepStrictEqual(
      rules.map(({ number }) => number),
      Array.from({ length: 32 }, (_, index) => index + 1)
    )
    assert.deepStrictEqual(untested(tests), [])
    assert.deepStrictEqual(unknownMarks(tests), [])
  })

  it("that need several nodes besides are these", () => {
    assert.deepStrictEqual(
      rules.filter((rule) => rule.severalNodes !== undefined).map(({ number }) => number),
      [17, 22, 23, 24, 27, 32]
    )
  })
})

const mark = "\u2020"
const file = (path: string, text: string) => ({ path, text })

describe("the names of tests", () => {
  it("are found with their marks, in tests, groups and templates, and in contracts", () => {
    const found = namedTests([
      file("libs/a/test/A.test.ts", `it("one ${mark}3 and ${mark}14", () => {})\ndescribe("${mark}5", () => {})`),
      file("libs/a/test/AContract.ts", `it.effect(\n  "${mark}7 named \\"so\\"",\n  () => x)`),
      file("libs/a/test/T.test.ts", `it.live(\`${mark}21 was \${how} written\`, () => x)`)
    ])
    assert.deepStrictEqual(
      found.map(({ marks, name }) => [name, marks]),
      [
        [`one ${mark}3 and ${mark}14`, [3, 14]],
        [`${mark}5`, [5]],
        [`${mark}7 named "so"`, [7]],
        [`${mark}21 was … written`, [21]]
      ]
    )
  })

  it("are neither comments, nor calls in sources, nor words in bodies", () => {
    const none = namedTests([
      file("libs/a/src/A.ts", `it("${mark}3", () => {})`),
      file("libs/a/test/B.test.ts", `// it is (${mark}4)\nassert.isTrue(x, "${mark}28: reserved")`)
    ])
    assert.deepStrictEqual(none, [])
  })

  it("that name no rule, and rules that no test names, are found", () => {
    const tests = namedTests([file("libs/a/test/A.test.ts", `it("${mark}33", () => {})\nit("${mark}1", () => {})`)])
    assert.deepStrictEqual(unknownMarks(tests), [`libs/a/test/A.test.ts: ${mark}33`])
    assert.deepStrictEqual(untested(tests).slice(0, 2), [2, 3])
  })

  it("stand beside their rule on the page", () => {
    const page = rulesPage([file("libs/a/test/A.test.ts", `it("${mark}1 stays", () => {})`)])
    assert.include(page, `## ${mark}1\n\n${rules[0]?.says}\n\n- \`libs/a/test/A.test.ts\`\n  - ${mark}1 stays\n`)
  })
})
