/**
 * The number of shards is a property of the data, not of a start: it is written down once, and a node configured
 * otherwise refuses to start (†2).
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { DataDirectoryDamaged } from "@parley/storage/DataDirectory"

/** The data has another number of shards than the configuration says. */
export class ShardCountDiffers extends Schema.TaggedError<ShardCountDiffers>()("ShardCountDiffers", {
  directory: Schema.String,
  made: Schema.Int,
  configured: Schema.Int
}) {
  override get message() {
    return `${this.directory} was made with ${this.made} shards and the configuration says ${this.configured}: start with --shards ${this.made}`
  }
}

const Shards = Schema.fromJsonString(Schema.Struct({ shards: Schema.Int }))

const fileOf = (directory: string): string => join(directory, "shards.json")

/** What was written down; undefined: nothing yet. */
export const madeWithShards = Effect.fnUntraced(function* (
  directory: string
): Effect.fn.Return<number | undefined, DataDirectoryDamaged> {
  const file = fileOf(directory)
  if (!existsSync(file)) return undefined
  const { shards } = yield* Schema.decodeEffect(Shards)(readFileSync(file, "utf8")).pipe(
    Effect.mapError(() => new DataDirectoryDamaged({ directory, what: "shards.json can't be understood" }))
  )
  return shards
})

export const checkShards = (directory: string, configured: number) =>
  Effect.gen(function* () {
    const made = yield* madeWithShards(directory)
    if (made === undefined) {
      const file = fileOf(directory)
      writeFileSync(`${file}.new`, `{"shards":${configured}}\n`, { mode: 0o600, flush: true })
      renameSync(`${file}.new`, file)
      return
    }
    if (made !== configured) return yield* new ShardCountDiffers({ directory, made, configured })
  })
