/**
 * A session that is not in memory: as of the last checkpoint, or as last stored, or a new one; with the cursors that the
 * store has, for these are written behind without the log (†5), and with what was replayed on top.
 */
import { Effect, Option } from "effect"
import { replay, SessionState } from "../session/SessionState.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { parkedOf, whenStoreReady } from "./StoreLookups.ts"

type Done = (state: SessionState | undefined) => void

export const loadSession = (owner: ShardOwner, user: string, done: Done): void => {
  const checkpointed = owner.checkpoints.takeSession(user)
  if (checkpointed === undefined) setImmediate(() => fromStore(owner, user, done))
  else setImmediate(() => withCursors(owner, checkpointed, done))
}

/** Without the store a checkpointed session goes on with the cursors it had: clients offer theirs again. */
const withCursors = (owner: ShardOwner, state: SessionState, done: Done): void =>
  owner.context.run(owner.context.stores.cursors.read(state.user), (result) => {
    if ("ok" in result) for (const { channel, position } of result.ok) state.mergeCursor(channel, position)
    done(state)
  })

const fromStore = (owner: ShardOwner, user: string, done: Done): void => {
  const { cursors, directory } = owner.context.stores
  const read = Effect.gen(function* () {
    const parked = yield* parkedOf(owner, "user", user)
    const row = yield* directory.session(user)
    const stored = yield* cursors.read(user)
    const state = Option.isSome(row) ? SessionState.decode(row.value.state) : SessionState.empty(user)
    for (const { channel, position } of stored) state.mergeCursor(channel, position)
    return { state, parked, isStored: Option.isSome(row) }
  })
  whenStoreReady(owner, (ready) => {
    if (!ready) return done(undefined)
    owner.context.run(read, (result) => {
      if (!("ok" in result)) return done(undefined)
      const { isStored, parked, state } = result.ok
      for (const entry of [...parked, ...owner.checkpoints.takeLate("user", user)]) {
        if (entry.seq > state.committedUserSeq) replay(state, entry)
      }
      if (isStored) owner.checkpoints.woken("user", user)
      done(state)
    })
  })
}
