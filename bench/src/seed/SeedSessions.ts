/** The sessions that seeded channels give their members: one `added` a channel, decided and applied by the product's code. */
import { decideNotice, replay, SessionState } from "@parley/actors/session/SessionState"
import type { Membership, SessionRow } from "@parley/storage/Directory"

export class SeedSessions {
  readonly #states = new Map<string, SessionState>()

  get users(): number {
    return this.#states.size
  }

  add({ channel, from, user }: Membership): void {
    let state = this.#states.get(user)
    if (state === undefined) this.#states.set(user, (state = SessionState.empty(user)))
    const decision = decideNotice(state, { kind: "added", channel, seq: from, by: "seed" }, Date.now())
    if (decision._tag === "Accept") replay(state, decision.entry)
  }

  *rows(): Generator<SessionRow> {
    for (const state of this.#states.values()) {
      yield { user: state.user, generation: state.generation, userSeq: state.committedUserSeq, state: state.encode() }
    }
  }
}
