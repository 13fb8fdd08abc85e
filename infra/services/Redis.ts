/** Redis, one server, in memory only: what is in it can be lost at any time, and Parley has to live with that. */
import { aptInstall, onPath } from "./Command.ts"
import { binaryProgram, chooseProgram, containerProgram, type Program } from "./Program.ts"
import { redisAnswers } from "./Readiness.ts"
import { hostAndPort, type Service, type ProgramContext, type StartContext, startNodes } from "./Service.ts"
import { ServicesError } from "./ServicesError.ts"
import { isAtLeast, versionOf } from "./Version.ts"

/** The first one with functions. */
const versionMin = [7, 0, 0]
const image = "redis:7.2-alpine"
const host = "127.0.0.1"

const isLoopback = (address: string): boolean => address.startsWith("127.")

export const redis: Service = {
  name: "redis",
  title: "Redis",
  readyMsMax: 20_000,
  stopMsMax: 10_000,
  given: async (environment) => {
    const redisUrl = environment["PARLEY_REDIS"]
    if (redisUrl === undefined || redisUrl === "") return undefined
    const { host, port } = hostAndPort(redisUrl, "PARLEY_REDIS", 6_379)
    // Over TLS this question is not understood; that something is there is all that is asked.
    if (!redisUrl.startsWith("rediss:") && !(await redisAnswers(host, port))) {
      throw new ServicesError(
        `No Redis answers at ${host}:${port}, which PARLEY_REDIS names: start it, or unset PARLEY_REDIS.`
      )
    }
    return { redisUrl: redisUrl.includes("://") ? redisUrl : `redis://${redisUrl}` }
  },
  answers: (node) => redisAnswers(node.host, node.ports.client),
  isReady: async () => true
}

export const startRedis = async (context: StartContext): Promise<void> =>
  startNodes(context, {
    service: redis,
    program: await redisProgram(context),
    hosts: [host],
    portNames: ["client"],
    prepare: ({ folder, host, ports }) =>
      ["--bind", host, "--port", String(ports.client), "--dir", folder, "--daemonize", "no"].concat(
        "--maxmemory 256mb --appendonly no".split(" "),
        // In a network of its own nobody else can reach it.
        isLoopback(host) ? [] : ["--protected-mode", "no"],
        "--save",
        ""
      ),
    addresses: (nodes) => ({ redisUrl: `redis://${nodes[0]?.host}:${nodes[0]?.ports.client}` })
  })

export const redisProgram = ({ environment, say }: ProgramContext): Promise<Program> =>
  chooseProgram(
    "Redis",
    {
      binary: () => redisBinary(environment, "binary", say),
      container: (engine) => containerProgram(engine, image, "redis-server", "--version", environment, say),
      install: async () => {
        say("Redis: redis-server is installed by apt-get")
        await aptInstall(["redis-server"], environment)
        const program = await redisBinary(environment, "installed", say)
        if (program === undefined) throw new ServicesError("the system's package is too old")
        return program
      },
      advice: `Put redis-server ${versionMin[0]} or later on PATH, or name a running one in PARLEY_REDIS.`
    },
    environment,
    say
  )

const redisBinary = async (
  environment: NodeJS.ProcessEnv,
  origin: "binary" | "installed",
  say: (line: string) => void
): Promise<Program | undefined> => {
  const path = onPath("redis-server", environment)
  if (path === undefined) return undefined
  const found = await versionOf(path, "--version")
  if (found !== undefined && isAtLeast(found, versionMin)) {
    return binaryProgram(`redis-server ${found.join(".")}, ${path}`, path, origin)
  }
  say(`Redis: ${path} is ${found?.join(".") ?? "of an unknown version"}, Parley needs ${versionMin[0]} or later`)
  return undefined
}
