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

export const checkShards = (directory: string, configured: number) =>
  Effect.gen(function* () {
    const file = join(directory, "shards.json")
    if (!existsSync(file)) {
      writeFileSync(`${file}.new`, `{"shards":${configured}}\n`, { mode: 0o600, flush: true })
      renameSync(`${file}.new`, file)
      return
    }
    const { shards } = yield* Schema.decodeEffect(Shards)(readFileSync(file, "utf8")).pipe(
      Effect.mapError(() => new DataDirectoryDamaged({ directory, what: "shards.json can't be understood" }))
    )
    if (shards !== configured) return yield* new ShardCountDiffers({ directory, made: shards, configured })
  })
