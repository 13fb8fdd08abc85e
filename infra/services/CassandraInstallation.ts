/** Cassandra from Maven Central, as jars: the archive with scripts is not served there, and nothing here needs it. */
import { readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { aptInstall, onPath, run } from "./Command.ts"
import { findJava } from "./Java.ts"
import { ServicesError } from "./ServicesError.ts"

const installMsMax = 900_000
const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

/** Fills `folder/lib`. Brings Java and Maven first, where this user may. */
export const installCassandra = async (
  folder: string,
  version: string,
  environment: NodeJS.ProcessEnv,
  say: (line: string) => void
): Promise<void> => {
  if ((await findJava(environment)) === undefined) {
    say("Cassandra: Java 17 is installed by apt-get")
    await aptInstall(["openjdk-17-jre-headless"], environment)
  }
  if (onPath("mvn", environment) === undefined) {
    say("Cassandra: Maven is installed by apt-get")
    await aptInstall(["maven"], environment)
  }
  say(`Cassandra: version ${version} is installed from Maven Central (about 90 MB, once)`)
  const lib = join(folder, "lib")
  const project = join(folder, "pom.xml")
  writeFileSync(project, projectXml(version))
  await run(
    "mvn",
    ["-B", "-q", "-f", project, copyDependencies, `-DoutputDirectory=${lib}`, "-DincludeScope=runtime"],
    {
      msMax: installMsMax,
      environment
    }
  )
  const jars = readdirSync(lib)
  if (!jars.includes(`cassandra-all-${version}.jar`)) {
    throw new ServicesError(
      `Maven brought ${jars.length} jars to ${lib}, and cassandra-all-${version}.jar is not among them`
    )
  }
  for (const jar of jars) if (isForAnotherMachine(jar)) rmSync(join(lib, jar))
}

const isForAnotherMachine = (jar: string): boolean => {
  const ofPlatform = /-(osx|windows)-|-linux-riscv64/.test(jar) && process.platform === "linux"
  const ofProcessor =
    (process.arch === "x64" && /-linux-aarch_64/.test(jar)) || (process.arch === "arm64" && /-linux-x86_64/.test(jar))
  return ofPlatform || ofProcessor
}

const projectXml = (version: string): string => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>parley</groupId><artifactId>cassandra-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>${version}</version>
    </dependency>
  </dependencies>
</project>
`
