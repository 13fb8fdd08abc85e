/**
 * What a service is run with: a binary of this machine, a container, or an installation of our own. They are tried in
 * this order; what each lacked is said when none is left.
 */
import { onPath, run } from "./Command.ts"
import type { Launch } from "./Process.ts"
import { sentenceOf, ServicesError } from "./ServicesError.ts"

export type Engine = "docker" | "podman"
export type Origin = "environment" | "binary" | "installed" | Engine

/** One node's own: where its files are and what its container is called. */
export interface Place {
  readonly folder: string
  readonly containerName: string
}

export interface Program {
  readonly origin: Exclude<Origin, "environment">
  /** Such as "nats-server 2.15.1, the binary of this machine". */
  readonly what: string
  readonly command: (place: Place, args: ReadonlyArray<string>) => Pick<Launch, "command" | "args" | "container">
}

export interface Ways<P extends Program> {
  /** None if this machine has no binary that is good enough. */
  readonly binary: () => Promise<P | undefined>
  readonly container: (engine: Engine) => Promise<P>
  readonly install: () => Promise<P>
  /** What a person can do when nothing works. */
  readonly advice: string
}

export const chooseProgram = async <P extends Program>(
  service: string,
  ways: Ways<P>,
  environment: NodeJS.ProcessEnv,
  say: (line: string) => void
): Promise<P> => {
  const binary = await ways.binary()
  if (binary !== undefined) return binary
  const lacks: Array<string> = []
  const engine = await workingEngine(environment)
  if (engine !== undefined) {
    try {
      return await ways.container(engine)
    } catch (error) {
      lacks.push(`${engine} does not run it (${sentenceOf(error)})`)
      say(`${service}: ${lacks[0]}; it is installed instead`)
    }
  }
  try {
    return await ways.install()
  } catch (error) {
    lacks.push(`it could not be installed (${sentenceOf(error)})`)
    throw new ServicesError(`${service} can't be had here: ${lacks.join("; ")}. ${ways.advice}`)
  }
}

const engineMsMax = 10_000
const pullMsMax = 600_000
const probeMsMax = 60_000

/** Only where containers share the machine's network and files, which is Linux. */
const workingEngine = async (environment: NodeJS.ProcessEnv): Promise<Engine | undefined> => {
  if (process.platform !== "linux") return undefined
  for (const engine of ["docker", "podman"] as const) {
    if (onPath(engine, environment) === undefined) continue
    const works = await run(engine, ["info"], { msMax: engineMsMax, environment }).then(
      () => true,
      () => false
    )
    if (works) return engine
  }
  return undefined
}

export const binaryProgram = (what: string, path: string, origin: "binary" | "installed"): Program => ({
  origin,
  what,
  command: (_place, args) => ({ command: path, args })
})

/** The container has the machine's network, and the node's folder under its own path: configurations are the same. */
export const containerProgram = async (
  engine: Engine,
  image: string,
  entrypoint: string,
  versionOption: string,
  environment: NodeJS.ProcessEnv,
  say: (line: string) => void
): Promise<Program> => {
  const inspect = await run(engine, ["image", "inspect", image], { msMax: engineMsMax, environment }).catch(
    () => undefined
  )
  if (inspect === undefined) {
    say(`${engine} pulls ${image}`)
    await run(engine, ["pull", "--quiet", image], { msMax: pullMsMax, environment })
  }
  // An engine that answers may still not be allowed to run anything.
  const probe = ["run", "--rm", "--network", "host", "--entrypoint", entrypoint, image, versionOption]
  await run(engine, probe, { msMax: probeMsMax, environment })
  // Podman without root maps its own root to this user.
  const user = engine === "docker" ? ["--user", `${process.getuid?.()}:${process.getgid?.()}`] : []
  return {
    origin: engine,
    what: `${image}, by ${engine}`,
    command: ({ containerName, folder }, args) => ({
      command: engine,
      args: ["run", "--rm", "--name", containerName, "--network", "host", ...user].concat(
        ["--volume", `${folder}:${folder}`, "--workdir", folder, "--entrypoint", entrypoint, image],
        args
      ),
      container: { engine, name: containerName }
    })
  }
}
