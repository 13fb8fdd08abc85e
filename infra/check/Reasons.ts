/**
 * Where the type checker is overruled, a comment says why that is right: `as` (but `as const`), `any`, and, outside
 * tests, `!`. In a test a wrong `!` fails the test, which is all a reason could promise.
 *
 * The comment stands on the line of the expression, on the line before, or on the line before the statement. A doc
 * comment describes the thing it stands at, so it is no reason; nor is a directive to a tool without ` -- reason`.
 */
import { Visitor } from "oxc-parser"
import { parse } from "./Syntax.ts"
import { isTypeScript, type Part, type SourceFile } from "./Part.ts"

export const reasons = {
  name: "reasons for as, ! and any",
  run: ({ files }) => files.filter(isTypeScript).flatMap(withoutReason)
} satisfies Part

const isTest = (path: string): boolean => /(?:^|\/)test\//.test(path)

const withoutReason = (file: SourceFile): ReadonlyArray<string> => {
  const { comments, lineOf, program } = parse(file)
  const explained = new Set<number>()
  for (const comment of comments) {
    if (!isReason(comment)) continue
    for (let line = lineOf(comment.start); line <= lineOf(comment.end); line++) explained.add(line)
  }
  const starts = statementStarts(program)
  const places: Array<string> = []
  const look = (what: string, start: number, end: number): void => {
    const line = lineOf(end)
    const statement = lineOf(starts.findLast((at) => at <= start) ?? start)
    if ([line, line - 1, lineOf(start), statement - 1].some((at) => explained.has(at))) return
    places.push(`${file.path}:${line}: ${what} without a reason in a comment`)
  }
  new Visitor({
    TSAsExpression: (node) => {
      const type = node.typeAnnotation
      const isConst = type.type === "TSTypeReference" && file.text.slice(type.start, type.end) === "const"
      if (!isConst) look("`as`", node.start, type.start)
    },
    TSTypeAssertion: (node) => look("`<T>` assertion", node.start, node.start),
    TSNonNullExpression: (node) => {
      if (!isTest(file.path)) look("`!`", node.start, node.end - 1)
    },
    TSAnyKeyword: (node) => look("`any`", node.start, node.start)
  }).visit(program)
  return places
}

const isReason = ({ type, value }: { readonly type: string; readonly value: string }): boolean => {
  if (type === "Block" && value.startsWith("*")) return false
  if (/^\s*(?:oxlint|eslint|oxfmt|prettier)-|^\s*@ts-/.test(value)) return / -- \S/.test(value)
  return /[\p{L}\p{N}]/u.test(value)
}

/** Where statements, class members and properties begin, ascending. */
const statementStarts = (program: ReturnType<typeof parse>["program"]): ReadonlyArray<number> => {
  const starts: Array<number> = []
  const add = (node: { readonly start: number }): void => void starts.push(node.start)
  new Visitor({
    VariableDeclaration: add,
    ExpressionStatement: add,
    ReturnStatement: add,
    ThrowStatement: add,
    IfStatement: add,
    ForOfStatement: add,
    ForStatement: add,
    WhileStatement: add,
    SwitchStatement: add,
    FunctionDeclaration: add,
    ClassDeclaration: add,
    ExportNamedDeclaration: add,
    TSTypeAliasDeclaration: add,
    TSInterfaceDeclaration: add,
    PropertyDefinition: add,
    MethodDefinition: add,
    Property: add
  }).visit(program)
  return starts.toSorted((left, right) => left - right)
}
