/** `parley migrate`: moves the data directory of a server that was alone into a cluster that is empty. */
import { Cause, Effect, Exit, Logger, References } from "effect"
import { migrate } from "../migrate/Migration.ts"
import { NodeConfig, settingsTable } from "../NodeConfig.ts"
import { parseFlags, unknownFlag } from "./Flags.ts"

const usage =
  "usage: parley migrate --data DIR --cluster NAME [the cluster's settings, as for serve: --nats … --cassandra … --redis …]"

export const migrateCommand = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const known = settingsTable.map((row) => row.flag.slice(2))
  const named = (flags["cluster"] ?? process.env["PARLEY_CLUSTER"] ?? "") !== ""
  const wrong = rest[0] !== undefined || !named ? usage : unknownFlag(flags, known)
  if (wrong !== undefined) {
    process.stderr.write(`parley migrate: ${wrong}\n`)
    return 2
  }
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const work = Effect.flatMap(NodeConfig, (settings) => migrate(settings, say)).pipe(
    // Nobody logs in here: how tokens are checked is the nodes' business.
    Effect.provide(
      NodeConfig.layer({ environment: process.env, flags: { ...flags, mode: "development", host: "127.0.0.1" } })
    ),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    Effect.provide(Logger.layer([Logger.consoleLogFmt])),
    Effect.scoped
  )
  const exit = await Effect.runPromiseExit(work)
  if (Exit.isFailure(exit)) {
    const failure = Cause.squash(exit.cause)
    process.stderr.write(`parley migrate: ${failure instanceof Error ? failure.message : String(failure)}\n`)
    return 1
  }
  const { report, ...counts } = exit.value
  const lines = Object.entries(counts).map(([what, count]) => `  ${what.padEnd(10)}${count}`)
  process.stdout.write(
    `moved, and the same on both sides:\n${lines.join("\n")}\nA hash of each channel's history is in ${report}. Start the cluster's nodes now.\n`
  )
  return 0
}
