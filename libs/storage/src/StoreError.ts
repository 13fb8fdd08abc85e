/** The one failure of the stores behind the log: what is live goes on without them (WRITE-BEHIND-SAFE). */
import { Schema } from "effect"

export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  store: Schema.String,
  cause: Schema.Defect()
}) {}
