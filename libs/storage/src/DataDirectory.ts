/**
 * The embedded server's one data directory: a lock that the second server meets, and the failures a person can act on.
 */
import { Schema } from "effect"

/** Another process holds the data directory. */
export class DataDirectoryInUse extends Schema.TaggedError<DataDirectoryInUse>()("DataDirectoryInUse", {
  directory: Schema.String,
  pid: Schema.Int
}) {
  override get message() {
    return `the data directory ${this.directory} is in use by process ${this.pid}: stop it, or give this server another --data`
  }
}

/** What lies there is not, or no longer, what Parley wrote. It is left as it is. */
export class DataDirectoryDamaged extends Schema.TaggedError<DataDirectoryDamaged>()("DataDirectoryDamaged", {
  directory: Schema.String,
  what: Schema.String
}) {
  override get message() {
    return `the data directory ${this.directory} is damaged: ${this.what}. Nothing was changed; restore it from a backup, or move it away to begin anew`
  }
}

/** It can't be made, read or written: a matter of permissions or of the disk. */
export class DataDirectoryUnusable extends Schema.TaggedError<DataDirectoryUnusable>()("DataDirectoryUnusable", {
  directory: Schema.String,
  what: Schema.String
}) {
  override get message() {
    return `the data directory ${this.directory} can't be used: ${this.what}`
  }
}
