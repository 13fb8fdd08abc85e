/** A record's bytes are not what an owner wrote. Nothing repairs this silently: the shard is quarantined (†24). */
import { Schema } from "effect"

export class RecordDamaged extends Schema.TaggedError<RecordDamaged>()("RecordDamaged", { what: Schema.String }) {}
