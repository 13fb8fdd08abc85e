/** The Java that runs Cassandra, which works with two versions only. */
import { join } from "node:path"
import { isExecutable, onPath } from "./Command.ts"
import { versionOf } from "./Version.ts"

const majors: ReadonlyArray<number | undefined> = [11, 17]

export const javaAdvice =
  "Cassandra needs Java 11 or 17: install it (Debian: openjdk-17-jre-headless), or name it in JAVA_HOME."

export const findJava = async (environment: NodeJS.ProcessEnv): Promise<string | undefined> => {
  const home = environment["JAVA_HOME"]
  const paths = [home === undefined || home === "" ? undefined : join(home, "bin", "java"), onPath("java", environment)]
  for (const path of paths) {
    if (path === undefined || !isExecutable(path)) continue
    const version = await versionOf(path, "-version")
    if (majors.includes(version?.[0])) return path
  }
  return undefined
}
