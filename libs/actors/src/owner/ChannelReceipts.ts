/**
 * Receipts of the small channels that are resident: they go with the state but are no part of it, for nothing depends
 * on them. A channel's first question loads the cursors that the store has of its members, once for all who come
 * meanwhile: after a takeover all of them do.
 */
import { Limits } from "@parley/protocol/Limits"
import { toWire, type WireText } from "@parley/protocol/WireText"
import type { ChannelState } from "../channel/ChannelState.ts"
import { Receipts } from "../channel/Receipts.ts"
import type { Caller } from "./OwnerProtocol.ts"
import { channelTopic } from "./OwnerProtocol.ts"
import type { ShardOwner } from "./ShardOwner.ts"

export class ChannelReceipts {
  readonly #owner: ShardOwner

  constructor(owner: ShardOwner) {
    this.#owner = owner
  }

  /** Takes a member's progress and shows it to the others. */
  take(state: ChannelState, caller: Caller, delivered: number, read: number): void {
    if (!shows(state)) return
    const { user } = caller
    const news = this.#table(state).advance(user, delivered, read, state.committedSeq)
    if (news === undefined) return
    const frame = toWire(JSON.stringify({ ev: "receipt", channel: state.channel, user, ...news }))
    this.#owner.publish({
      _tag: "Ephemeral",
      topic: channelTopic(state.channel),
      frame,
      exceptUser: user,
      exceptConnection: caller.connection
    })
  }

  /** `,"receipts":[…]` for a channel's head, or nothing; calls back at once where all is here. */
  render(state: ChannelState, done: (field: WireText) => void): void {
    if (!shows(state)) return done("")
    const table = this.#table(state)
    const answer = () => done(table.field(state))
    if (table.loaded) return answer()
    if (table.loading !== undefined) return void table.loading.push(answer)
    table.loading = [answer]
    const { cursors } = this.#owner.context.stores
    this.#owner.context.run(cursors.ofChannel(state.channel), (result) => {
      if ("ok" in result) {
        table.loaded = true
        for (const { position, user } of result.ok) table.advance(user, position.seq, position.seq, state.committedSeq)
      }
      const waiting = table.loading ?? []
      table.loading = undefined
      for (const next of waiting) next()
    })
  }

  #table(state: ChannelState): Receipts {
    return (state.receipts ??= new Receipts())
  }
}

/** The same where no store has to be asked; undefined: it has. */
export const receiptsHere = (state: ChannelState | undefined): WireText | undefined =>
  state === undefined || !shows(state) ? "" : state.receipts?.loaded === true ? state.receipts.field(state) : undefined

const shows = (state: ChannelState): boolean => state.memberCount <= Limits.receiptsMembersMax
