/** The time in an event's client id: what the window's bound is made of (†29). No Effect here: threads use it. */
import { clientIdTime } from "@parley/protocol/ClientIdTime"

/** 0 where the channel made the event itself. */
export const idTimeOf = ({ cid }: { readonly cid: string }): number => (cid === "" ? 0 : clientIdTime(cid))
