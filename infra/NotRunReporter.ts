/** Lists by name, after vitest's own report, the tests that were not run: what a summary's number hides. */
import type { Reporter, TestCase, TestModule } from "vitest/node"

export class NotRunReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const notRun = modules.flatMap((module) => [...module.children.allTests("skipped")])
    if (notRun.length === 0) return
    console.log(`\n Not run (${notRun.length}):`)
    for (const test of notRun) console.log(`   ${test.module.relativeModuleId} > ${test.fullName}${reasonOf(test)}`)
  }
}

const reasonOf = (test: TestCase): string => {
  const result = test.result()
  return result.state === "skipped" && result.note !== undefined ? ` (${result.note})` : ""
}
