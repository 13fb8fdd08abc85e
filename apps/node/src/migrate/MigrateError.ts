/** Why a data directory is not moved; each says what to do. */
import { Schema } from "effect"

/** It can't be done as things are. */
export class MigrationRefused extends Schema.TaggedError<MigrationRefused>()("MigrationRefused", {
  why: Schema.String
}) {
  override get message() {
    return this.why
  }
}

/** What arrived is not what was sent. */
export class MigrationDiffers extends Schema.TaggedError<MigrationDiffers>()("MigrationDiffers", {
  differences: Schema.Array(Schema.String)
}) {
  override get message() {
    return `the cluster has not what the data directory has:\n- ${this.differences.join("\n- ")}\nNo node of the cluster starts on this. Make the cluster empty (its streams, its keyspace, its keys in Redis) and begin anew.`
  }
}
