/**
 * What each entity answers to its one Inspect call: its state as an operator needs it at three in the morning. Texts
 * and names of people are left out unless the caller's role may see payloads.
 */
import type { ChannelState } from "../channel/ChannelState.ts"
import type { PresenceState } from "../presence/PresenceState.ts"
import type { SessionState } from "../session/SessionState.ts"
import type { AnyResident } from "./Residents.ts"
import type { ShardOwner } from "./ShardOwner.ts"

const where = (owner: ShardOwner) => ({
  runner: owner.context.name,
  shard: owner.shard,
  epoch: owner.epoch,
  owner: owner.state,
  lease: owner.context.leaseHeld(owner.shard),
  store: { ready: owner.storeReady, position: owner.storePosition, needed: owner.storeNeeded, log: owner.log.end }
})

const residency = (owner: ShardOwner, topic: "channel" | "user", resident: AnyResident) => ({
  waiting: resident.waiting.length,
  uncommitted: resident.pending.length,
  stored: owner.stored(topic, resident.id),
  parked: owner.parked.countOf(topic, resident.id),
  bytes: resident.bytes
})

export const inspectChannel = (owner: ShardOwner, resident: AnyResident, state: ChannelState, payloads: boolean) => ({
  kind: "channel",
  id: state.channel,
  ...where(owner),
  ...residency(owner, "channel", resident),
  exists: state.exists,
  generation: state.generation,
  seq: state.seq,
  committed: state.committedSeq,
  n: state.committedN,
  floor: state.floor,
  tail: { from: state.tailFrom, to: state.committedSeq, cut: state.isCut },
  members: state.memberCount,
  fanout: state.fanout,
  fanoutThreshold: state.limits.fanoutThreshold,
  edges: [...owner.interest.edgesOf(`c/${state.channel}`)],
  idempotency: state.inspectWindow(),
  ...(payloads ? { name: state.name, topic: state.topic, last: state.lastMessage() ?? null } : {})
})

export const inspectSession = (owner: ShardOwner, resident: AnyResident, state: SessionState, payloads: boolean) => ({
  kind: "session",
  id: state.user,
  ...where(owner),
  ...residency(owner, "user", resident),
  generation: state.generation,
  userSeq: state.userSeq,
  committed: state.committedUserSeq,
  channels: state.channelCount,
  cursorsUnsaved: resident.dirty,
  revokedBefore: state.revokedBefore,
  edges: [...owner.interest.edgesOf(`u/${state.user}`)],
  ...(payloads ? { cursors: state.inspectCursors() } : {})
})

export const inspectPresence = (owner: ShardOwner, state: PresenceState) => ({
  kind: "presence",
  id: String(owner.shard),
  ...where(owner),
  ...state.inspect(),
  edges: [...owner.interest.edgesOf(`p/${owner.shard}`)]
})
