/** `parley serve`: runs a node until SIGTERM or SIGINT, then drains and exits 0. */
import { Cause, Effect, Exit, Fiber, Layer, Logger, References } from "effect"
import { Listening } from "../edge/Edge.ts"
import { layerNode } from "../Node.ts"
import { NodeConfig, type NodeSettings, settingsTable } from "../NodeConfig.ts"
import { parseFlags, unknownFlag } from "./Flags.ts"

const levels = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const

const banner = (settings: NodeSettings, port: number): string => {
  const url = `http://${settings.host}:${port}`
  const lines = [`Parley is ready on ${url} (data in ${settings.data})`]
  if (settings.mode === "development") {
    const where = port === 8080 ? "" : ` --url ${url}`
    lines.push(
      "Development mode: whoever asks gets a token. In two more terminals:",
      `  npm run chat -- --as ana${where}`,
      `  npm run chat -- --as ben${where}`
    )
  }
  return `${lines.join("\n")}\n`
}

export const serve = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const wrong =
    rest[0] === undefined
      ? unknownFlag(
          flags,
          settingsTable.map((row) => row.flag.slice(2))
        )
      : `unexpected ${rest[0]}`
  if (wrong !== undefined) {
    process.stderr.write(`parley serve: ${wrong}\n`)
    return 2
  }
  const node = Effect.gen(function* () {
    const settings = yield* NodeConfig
    const running = Layer.launch(
      Layer.effectDiscard(
        Effect.gen(function* () {
          const { port } = yield* Listening
          process.stdout.write(banner(settings, port))
        })
      ).pipe(Layer.provide(layerNode))
    )
    return yield* running.pipe(Effect.provideService(References.MinimumLogLevel, levels[settings.logLevel]))
  }).pipe(
    Effect.provide(NodeConfig.layer({ environment: process.env, flags })),
    Effect.provide(Logger.layer([Logger.consoleLogFmt]))
  )
  const fiber = Effect.runFork(node)
  const stop = () => {
    Effect.runFork(Fiber.interrupt(fiber))
  }
  process.once("SIGTERM", stop)
  process.once("SIGINT", stop)
  // For measurements: a collection that also gives the pages it freed back to the machine.
  if (typeof globalThis.gc === "function") {
    process.on("SIGUSR2", () => globalThis.gc?.({ type: "major", flavor: "last-resort", execution: "sync" }))
  }
  const exit = await Effect.runPromise(Fiber.await(fiber))
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return finish(0)
  const failure = Cause.squash(exit.cause)
  process.stderr.write(`parley serve: ${failure instanceof Error ? failure.message : String(failure)}\n`)
  return finish(1)
}

/** Workers and sockets are closed by now; whatever else keeps the loop alive must not keep a stopped server. */
const finish = (code: number): number => {
  setTimeout(() => process.exit(code), 1_000).unref()
  return code
}
