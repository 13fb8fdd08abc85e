/**
 * Seeds that are kept: with `BENCH_SEED_DIR=DIR` a data directory is filled once, and every run starts from a copy of
 * it, so that a bench holds a machine for its measurement only. `npm run bench -- seed NAME` fills them and measures
 * nothing. A kept seed is as old as the code that wrote it: after a change of what is stored, remove DIR.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { say } from "../Report.ts"
import { newDataDirectory } from "../Servers.ts"
import { small } from "../Sizes.ts"
import { seed, type Seeded, type SeedOptions } from "./Seed.ts"

const kept = process.env["BENCH_SEED_DIR"]
const summaryFile = "seeded.json"

export interface SeededData {
  readonly data: string
  readonly seeded: Seeded
}

/** What a bench measures on: by name, because it is made only where no kept one is there. */
export type Seeds = Readonly<Record<string, () => SeedOptions>>

const keptDirectory = (directory: string, name: string): string => join(directory, small ? `${name}-small` : name)

/** Writes beside its place first: what was cut off half way is never taken for a seed. */
const keep = async (directory: string, options: () => SeedOptions): Promise<void> => {
  if (existsSync(join(directory, summaryFile))) return
  const unfinished = `${directory}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(unfinished, { recursive: true })
  const seeded = await seed(unfinished, options())
  writeFileSync(join(unfinished, summaryFile), JSON.stringify(seeded))
  renameSync(unfinished, directory)
}

/** A data directory of its own with what `options` says. */
export const seededData = async (name: string, options: () => SeedOptions): Promise<SeededData> => {
  const data = newDataDirectory()
  if (kept === undefined) return { data, seeded: await seed(data, options()) }
  const from = keptDirectory(kept, name)
  await keep(from, options)
  // Synced before the measurement, so that the kernel does not write it back meanwhile.
  const copied = spawnSync("sh", [
    "-c",
    'cp -R "$1/." "$2" && rm "$2/$3" && sync "$2"/*',
    "sh",
    from,
    data,
    summaryFile
  ])
  if (copied.status !== 0) throw new Error(`${from} can't be copied: ${copied.stderr.toString()}`)
  say(`started from the seed kept in ${from}`)
  // Written by `keep`, above.
  return { data, seeded: JSON.parse(readFileSync(join(from, summaryFile), "utf8")) as Seeded }
}

/** Fills what is missing of a bench's seeds. */
export const keepSeeds = async (seeds: Seeds): Promise<void> => {
  if (kept === undefined) throw new Error("BENCH_SEED_DIR says where seeds are kept")
  for (const [name, options] of Object.entries(seeds)) await keep(keptDirectory(kept, name), options)
}
