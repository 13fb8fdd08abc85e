/**
 * That a data directory is being moved, or was, to a cluster: a file in it. A server does not start on such a directory: what
 * it took would be in one of the two only.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { DataDirectoryDamaged } from "@parley/storage/DataDirectory"

/** What is here lives in a cluster now. */
export class DataDirectoryMoved extends Schema.TaggedError<DataDirectoryMoved>()("DataDirectoryMoved", {
  directory: Schema.String,
  cluster: Schema.String
}) {
  override get message() {
    return `${this.directory} was moved to the cluster ${this.cluster}, or in part: start that cluster's nodes, each with another --data. To go back to what it was before the move, remove ${fileOf(this.directory)}`
  }
}

const Moved = Schema.fromJsonString(Schema.Struct({ id: Schema.String, cluster: Schema.String }))
type Moved = typeof Moved.Type

const fileOf = (directory: string): string => join(directory, "moved.json")

/** The move that was begun; undefined: none. */
export const readMove = Effect.fnUntraced(function* (
  directory: string
): Effect.fn.Return<Moved | undefined, DataDirectoryDamaged> {
  const file = fileOf(directory)
  if (!existsSync(file)) return undefined
  return yield* Schema.decodeEffect(Moved)(readFileSync(file, "utf8")).pipe(
    Effect.mapError(() => new DataDirectoryDamaged({ directory, what: "moved.json can't be understood" }))
  )
})

/** Under another name first: it is there whole or not at all. */
export const writeMove = (directory: string, moved: Moved): void => {
  const file = fileOf(directory)
  writeFileSync(`${file}.new`, `${JSON.stringify(moved)}\n`, { mode: 0o600, flush: true })
  renameSync(`${file}.new`, file)
}

export const checkNotMoved = Effect.fnUntraced(function* (directory: string) {
  const moved = yield* readMove(directory)
  if (moved !== undefined) return yield* new DataDirectoryMoved({ directory, cluster: moved.cluster })
})
