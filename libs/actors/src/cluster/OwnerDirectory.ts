/**
 * Who owns a shard, and under which epoch it serves, as far as this process knows. A belief, not a promise: the owner
 * itself answers "not mine" to whoever believes in another epoch (†17), and the caller then asks for a fresh look.
 * Reading it is a look into a map, so hot paths may ask for every call.
 */
import { Context } from "effect"

export interface ShardOwnership {
  /** The runner's name (`Runner.name`), which no other process and no later start of it has. */
  readonly runner: string
  readonly epoch: number
}

export class OwnerDirectory extends Context.Service<
  OwnerDirectory,
  {
    /** Undefined: nobody that is known of. */
    ownerOf(shard: number): ShardOwnership | undefined
    /** Looks again at the source; many calls at once are one look. What it finds comes through `onChange`. */
    refresh(shard: number): void
    /** Told after each change of a shard's owner or epoch; the answer stops it. */
    onChange(listener: (shard: number, owner: ShardOwnership | undefined) => void): () => void
  }
>()("@parley/actors/OwnerDirectory") {}
