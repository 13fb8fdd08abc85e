/**
 * Cassandra: one node, or a ring of them on 127.0.0.1, 127.0.0.2 and so on. It is a folder of jars and a Java of the right
 * version, wherever both come from; all nodes are started with the same arguments (`CassandraConfig`).
 */
import { mkdirSync, readdirSync, realpathSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { type CassandraTls, cassandraYaml, javaArguments, logbackXml, tokenOf } from "./CassandraConfig.ts"
import { installCassandra } from "./CassandraInstallation.ts"
import { onPath } from "./Command.ts"
import { cassandraPeers } from "./CqlQuestion.ts"
import { installed } from "./Installation.ts"
import { findJava, javaAdvice } from "./Java.ts"
import { chooseProgram, containerProgram, type Program } from "./Program.ts"
import { cassandraAnswers } from "./Readiness.ts"
import { hostAndPort, type Service, type ProgramContext, type StartContext, startNodes } from "./Service.ts"
import { ServicesError } from "./ServicesError.ts"
import { isAtLeast, versionIn } from "./Version.ts"

/** The first one with tries as memtables and as the format on disk. */
const versionMin = [5, 0, 0]
const version = "5.0.9"
const image = `cassandra:${version}`
const heapOfOne = "512m"
const heapInRing = "384m"

export const cassandra: Service = {
  name: "cassandra",
  title: "Cassandra",
  readyMsMax: 240_000,
  stopMsMax: 60_000,
  given: async (environment) => {
    const contactPoints = environment["PARLEY_CASSANDRA"]
    if (contactPoints === undefined || contactPoints === "") return undefined
    const addresses = contactPoints.split(",").map((address) => hostAndPort(address, "PARLEY_CASSANDRA", 9_042))
    for (const { host, port } of addresses) {
      if (!(await cassandraAnswers(host, port))) {
        throw new ServicesError(
          `No Cassandra answers at ${host}:${port}, which PARLEY_CASSANDRA names: start it, or unset PARLEY_CASSANDRA.`
        )
      }
    }
    return {
      cassandraContactPoints: addresses.map(({ host, port }) => `${host}:${port}`),
      cassandraDatacenter: environment["PARLEY_CASSANDRA_DATACENTER"] ?? "datacenter1"
    }
  },
  answers: (node) => cassandraAnswers(node.host, node.ports.client),
  isReady: async (node, nodes) => (await cassandraPeers(node.host, node.ports.client)) === nodes.length - 1
}

export interface CassandraOptions {
  /** For minutes, not to be measured: it starts faster and works slower. */
  readonly brief?: boolean
  readonly logins?: boolean
  /** For a store that is written behind, on the machine of those who must not wait for it. */
  readonly yields?: boolean
  readonly tls?: CassandraTls
}

export const startCassandra = async (
  context: StartContext,
  count: number,
  { brief = false, logins = false, tls, yields = false }: CassandraOptions = {}
): Promise<void> => {
  const program = await cassandraProgram(context)
  const { clusterName } = context.writer.state.kept
  const hosts = Array.from({ length: count }, (_, index) => `127.0.0.${index + 1}`)
  await startNodes(context, {
    service: cassandra,
    program,
    hosts,
    yields,
    portNames: ["jmx"],
    // Nodes tell clients of each other by address only, with the port that the client knows.
    sharedPortNames: ["client", "storage"],
    prepare: ({ folder, host, name, ports }, nodes) => {
      const config = {
        clusterName,
        folder,
        host,
        cqlPort: ports.client,
        storagePort: ports["storage"] ?? 0,
        jmxPort: ports["jmx"] ?? 0,
        seeds: nodes.map((node) => node.host),
        token: tokenOf(
          nodes.findIndex((node) => node.name === name),
          count
        ),
        heap: count === 1 ? heapOfOne : heapInRing,
        brief,
        logins,
        ...(tls === undefined ? {} : { tls })
      }
      for (const part of ["conf", "tmp"]) mkdirSync(join(folder, part), { recursive: true })
      writeFileSync(join(folder, "conf", "cassandra.yaml"), cassandraYaml(config))
      writeFileSync(join(folder, "conf", "logback.xml"), logbackXml)
      return javaArguments(config, program.classPath, program.agent)
    },
    addresses: (nodes) => ({
      cassandraContactPoints: nodes.map((node) => `${node.host}:${node.ports.client}`),
      cassandraDatacenter: "datacenter1"
    })
  })
}

interface CassandraProgram extends Program {
  readonly classPath: string
  readonly agent: string | undefined
}

export const cassandraProgram = ({ cache, environment, say }: ProgramContext): Promise<CassandraProgram> =>
  chooseProgram<CassandraProgram>(
    "Cassandra",
    {
      binary: async () => {
        const folders = jarFolders(environment)
        const found = folders === undefined ? undefined : versionOfJars(folders)
        if (folders === undefined || found === undefined) return undefined
        const java = await findJava(environment)
        if (isAtLeast(found, versionMin) && java !== undefined)
          return jarProgram(found.join("."), folders, java, "binary")
        say(
          java === undefined
            ? `Cassandra: ${folders[0]} is there; ${javaAdvice}`
            : `Cassandra: ${folders[0]} is ${found.join(".")}, Parley needs ${versionMin.join(".")} or later`
        )
        return undefined
      },
      container: async (engine) => ({
        ...(await containerProgram(engine, image, "java", "-version", environment, say)),
        // The JVM expands it, inside the container.
        classPath: "/opt/cassandra/lib/*",
        agent: undefined
      }),
      install: async () => {
        const folder = await installed(cache, `cassandra-${version}`, (folder) =>
          installCassandra(folder, version, environment, say)
        )
        const java = await findJava(environment)
        if (java === undefined) throw new ServicesError(javaAdvice)
        return jarProgram(version, [join(folder, "lib")], java, "installed")
      },
      advice: `Put Java 17 on PATH and Cassandra ${versionMin[0]} in CASSANDRA_HOME, or name a running node in PARLEY_CASSANDRA.`
    },
    environment,
    say
  )

const jarProgram = (
  version: string,
  folders: ReadonlyArray<string>,
  java: string,
  origin: "binary" | "installed"
): CassandraProgram => ({
  origin,
  what: `version ${version} in ${folders[0]}`,
  command: (_place, args) => ({ command: java, args }),
  classPath: folders.map((folder) => join(folder, "*")).join(":"),
  agent: folders.flatMap((folder) => jarsOf(folder, /^jamm-.*\.jar$/))[0]
})

/** Of `CASSANDRA_HOME`, or of the `cassandra` on PATH: the project's own archive, or Debian's package. */
const jarFolders = (environment: NodeJS.ProcessEnv): ReadonlyArray<string> | undefined => {
  const script = onPath("cassandra", environment)
  const homes = [
    environment["CASSANDRA_HOME"],
    script === undefined ? undefined : dirname(dirname(realpathSync(script))),
    script === undefined ? undefined : "/usr/share/cassandra"
  ]
  for (const home of homes) {
    if (home === undefined || home === "") continue
    const folders = [home, join(home, "lib")].filter((folder) => jarsOf(folder, /\.jar$/).length > 0)
    if (versionOfJars(folders) !== undefined) return folders
  }
  return undefined
}

const versionOfJars = (folders: ReadonlyArray<string>) =>
  versionIn(
    folders
      .flatMap((folder) => jarsOf(folder, /^(apache-cassandra|cassandra-all)-\d.*\.jar$/))[0]
      ?.split("/")
      .at(-1) ?? ""
  )

const jarsOf = (folder: string, name: RegExp): ReadonlyArray<string> => {
  try {
    return readdirSync(folder)
      .filter((file) => name.test(file))
      .map((file) => join(folder, file))
  } catch {
    return []
  }
}
