/**
 * What a field means, written where the field is declared. The documents in docs/ are generated from these sentences,
 * so they are for people who write clients; Markdown code marks are fine.
 */
import type { Schema } from "effect"

/** `Seq.pipe(means("…"))`: describes the field, not the schema, which other fields share. */
export const means =
  (description: string) =>
  <S extends Schema.Top>(schema: S): S["Rebuild"] =>
    schema.annotateKey({ description })
