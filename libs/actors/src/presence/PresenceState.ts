/**
 * One presence shard, apart from any process: which of its users are online, as edges report it, and what is told of
 * that to those who watch. Nothing is logged (EPHEMERAL-IS-EPHEMERAL). It promises: several devices merge (online over
 * away over offline); nobody is said to be offline within the grace period of his last device's going, nor before a new
 * owner has listened for that long (†6); changes come in dense versions `(epoch, n)`, damped, bounded, for watched
 * users only. What is shown of a user and what he is may differ for a while; `due` holds those users.
 */
import type { PresenceChange, PresenceView } from "../owner/OwnerProtocol.ts"

export interface PresenceLimits {
  /** From a user's last device going to his being offline: rides out a reconnect and a deploy. */
  readonly graceMs: number
  /** An edge that reports nothing for this long has lost its devices. */
  readonly edgeSilentMs: number
  /** … and is forgotten with what it watches after so long: one that was only cut off goes on watching. */
  readonly edgeForgottenMs: number
  /** What is shown of one user changes at most this often. */
  readonly userIntervalMs: number
  /** Versions come at most this often, with at most so many users. */
  readonly deltaIntervalMs: number
  readonly deltaUsersMax: number
  readonly devicesPerUserMax: number
  /** Users an edge may watch in this shard; the one watched longest ago goes first. */
  readonly watchedPerEdgeMax: number
  /** Users offline of whom it is known since when. */
  readonly offlineUsersMax: number
}

export const presenceLimitsDefault: PresenceLimits = {
  graceMs: 30_000,
  edgeSilentMs: 30_000,
  edgeForgottenMs: 600_000,
  userIntervalMs: 2_000,
  deltaIntervalMs: 250,
  deltaUsersMax: 500,
  devicesPerUserMax: 32,
  watchedPerEdgeMax: 20_000,
  offlineUsersMax: 20_000
}

type DeviceState = "online" | "away"
type Shown = PresenceChange["state"]

export interface DeviceReport {
  readonly user: string
  readonly device: string
  readonly state: DeviceState | "gone"
}

interface UserPresence {
  /** Edge, then device. */
  readonly devices: Map<string, Map<string, DeviceState>>
  /** When the last device went; null while there is one, or where it is not known. */
  lastSeen: number | null
  /** Not offline before this. */
  offlineFrom: number
  /** What was told last; undefined: nothing. */
  shown: Shown | undefined
  shownAt: number
}

interface EdgePresence {
  heardAt: number
  /** Users with devices there. */
  readonly users: Set<string>
  readonly watched: Set<string>
  /** What it had when it fell silent: it may have been paused, or time has jumped, and it says only what changes. */
  silent: ReadonlyArray<DeviceReport>
}

export class PresenceState {
  readonly shard: number
  readonly epoch: number
  readonly limits: PresenceLimits
  /** The last version told. */
  n = 0
  /** Until then nobody is offline: not all edges may have reported (†6). */
  readonly settledAt: number
  deltaAt = Number.NEGATIVE_INFINITY
  readonly users = new Map<string, UserPresence>()
  readonly edges = new Map<string, EdgePresence>()
  /** How many edges watch a user. */
  readonly watchers = new Map<string, number>()
  /** Users of whom something else is shown than they are. */
  readonly due = new Set<string>()
  /** Users offline, longest ago first. */
  readonly offline = new Set<string>()

  constructor(shard: number, epoch: number, now: number, limits: PresenceLimits) {
    this.shard = shard
    this.epoch = epoch
    this.limits = limits
    this.settledAt = now + limits.graceMs
  }

  static empty(
    shard: number,
    epoch: number,
    now: number,
    limits: PresenceLimits = presenceLimitsDefault
  ): PresenceState {
    return new PresenceState(shard, epoch, now, limits)
  }

  inspect() {
    return {
      version: { epoch: this.epoch, n: this.n },
      edges: this.edges.size,
      online: this.users.size - this.offline.size,
      offlineKnown: this.offline.size,
      watched: this.watchers.size,
      due: this.due.size
    }
  }

  /** The edge's record, made at its first word. */
  edge(name: string, now: number): EdgePresence {
    const found = this.edges.get(name)
    if (found !== undefined) {
      found.heardAt = now
      return found
    }
    const edge: EdgePresence = { heardAt: now, users: new Set(), watched: new Set(), silent: [] }
    this.edges.set(name, edge)
    return edge
  }

  user(name: string): UserPresence {
    const found = this.users.get(name)
    if (found !== undefined) return found
    const user: UserPresence = {
      devices: new Map(),
      lastSeen: null,
      offlineFrom: this.settledAt,
      shown: undefined,
      shownAt: 0
    }
    this.users.set(name, user)
    return user
  }
}

/**
 * Takes an edge's report: the devices that came, changed or went, or all it has (`full`). An empty report is a sign of
 * life: what an edge had that fell silent is there again. A full one has what is not in it gone.
 */
export const presenceReport = (
  state: PresenceState,
  edgeName: string,
  full: boolean,
  devices: ReadonlyArray<DeviceReport>,
  now: number
): void => {
  const edge = state.edge(edgeName, now)
  const before = full ? [] : edge.silent
  edge.silent = []
  if (full) {
    const named = new Map<string, Set<string>>()
    for (const { device, user } of devices) named.set(user, (named.get(user) ?? new Set()).add(device))
    for (const user of edge.users) {
      for (const device of state.users.get(user)?.devices.get(edgeName)?.keys() ?? []) {
        if (named.get(user)?.has(device) !== true) deviceGone(state, edge, edgeName, user, device, now)
      }
    }
  }
  for (const { device, state: reported, user } of [...before, ...devices]) {
    if (reported === "gone") deviceGone(state, edge, edgeName, user, device, now)
    else deviceHere(state, edge, edgeName, user, device, reported)
  }
}

const deviceHere = (
  state: PresenceState,
  edge: EdgePresence,
  edgeName: string,
  userName: string,
  device: string,
  reported: DeviceState
): void => {
  const user = state.user(userName)
  const there = user.devices.get(edgeName) ?? new Map<string, DeviceState>()
  if (there.size >= state.limits.devicesPerUserMax && !there.has(device)) return
  there.set(device, reported)
  user.devices.set(edgeName, there)
  user.lastSeen = null
  edge.users.add(userName)
  state.offline.delete(userName)
  state.due.add(userName)
}

const deviceGone = (
  state: PresenceState,
  edge: EdgePresence,
  edgeName: string,
  userName: string,
  device: string,
  now: number,
  seen = now
): void => {
  const user = state.users.get(userName)
  const there = user?.devices.get(edgeName)
  if (user === undefined || there === undefined || !there.delete(device)) return
  if (there.size === 0) {
    user.devices.delete(edgeName)
    edge.users.delete(userName)
  }
  if (user.devices.size === 0) {
    user.lastSeen = seen
    user.offlineFrom = now + state.limits.graceMs
  }
  state.due.add(userName)
}

/** The edge wants the changes of these users too. What it watches is forgotten with it. */
export const presenceWatch = (
  state: PresenceState,
  edgeName: string,
  users: ReadonlyArray<string>,
  now: number
): void => {
  const { watched } = state.edge(edgeName, now)
  for (const user of users) {
    if (watched.delete(user)) {
      watched.add(user)
      continue
    }
    watched.add(user)
    state.watchers.set(user, (state.watchers.get(user) ?? 0) + 1)
    // A new owner has nothing to say of him yet; once it has listened long enough, it owes an answer.
    if (now < state.settledAt && !state.users.has(user)) {
      state.user(user)
      state.due.add(user)
    }
  }
  for (const oldest of watched) {
    if (watched.size <= state.limits.watchedPerEdgeMax) return
    watched.delete(oldest)
    unwatch(state, oldest)
  }
}

const unwatch = (state: PresenceState, user: string): void => {
  const left = (state.watchers.get(user) ?? 1) - 1
  if (left === 0) state.watchers.delete(user)
  else state.watchers.set(user, left)
}

/** How these users are shown as of the version `n`; those of whom a new owner can't say anything yet are left out. */
export const presenceView = (state: PresenceState, users: ReadonlyArray<string>, now: number): PresenceView => ({
  shard: state.shard,
  epoch: state.epoch,
  n: state.n,
  users: users.flatMap((name): ReadonlyArray<PresenceChange> => {
    const user = state.users.get(name)
    if (user === undefined) return now < state.settledAt ? [] : [{ user: name, state: "offline", last_seen: null }]
    const shown = user.shown ?? presentState(user)
    if (shown === undefined) return []
    return [{ user: name, state: shown, last_seen: shown === "offline" ? user.lastSeen : null }]
  })
})

/** What his devices make of a user: online over away; undefined without one. */
const presentState = (user: UserPresence): DeviceState | undefined => {
  let merged: DeviceState | undefined
  for (const there of user.devices.values()) {
    for (const device of there.values()) {
      if (device === "online") return "online"
      merged = device
    }
  }
  return merged
}

/**
 * What changed for those who watch, as the next version; empty: nothing, and no version. Called every second or so and
 * after a report; edges that fell silent lose their devices here.
 */
export const presenceDeltas = (state: PresenceState, now: number): ReadonlyArray<PresenceChange> => {
  dropSilentEdges(state, now)
  if (now - state.deltaAt < state.limits.deltaIntervalMs) return []
  const changes: Array<PresenceChange> = []
  for (const name of state.due) {
    if (changes.length >= state.limits.deltaUsersMax) break
    const user = state.users.get(name)
    if (user === undefined) {
      state.due.delete(name)
      continue
    }
    const next = presentState(user) ?? "offline"
    if (next === user.shown) {
      state.due.delete(name)
      continue
    }
    if (next === "offline" && now < user.offlineFrom) continue
    if (user.shown !== undefined && now - user.shownAt < state.limits.userIntervalMs) continue
    state.due.delete(name)
    user.shown = next
    user.shownAt = now
    if (state.watchers.has(name))
      changes.push({ user: name, state: next, last_seen: next === "offline" ? user.lastSeen : null })
    if (next === "offline") keepOffline(state, name)
  }
  if (changes.length > 0) {
    state.n++
    state.deltaAt = now
  }
  return changes
}

const keepOffline = (state: PresenceState, name: string): void => {
  state.offline.add(name)
  for (const oldest of state.offline) {
    if (state.offline.size <= state.limits.offlineUsersMax) return
    state.offline.delete(oldest)
    state.users.delete(oldest)
  }
}

const dropSilentEdges = (state: PresenceState, now: number): void => {
  for (const [name, edge] of state.edges) {
    if (now - edge.heardAt < state.limits.edgeSilentMs) continue
    const silent: Array<DeviceReport> = []
    for (const user of edge.users) {
      for (const [device, reported] of state.users.get(user)?.devices.get(name) ?? []) {
        silent.push({ user, device, state: reported })
        deviceGone(state, edge, name, user, device, now, edge.heardAt)
      }
    }
    if (silent.length > 0) edge.silent = silent
    if (now - edge.heardAt < state.limits.edgeForgottenMs) continue
    state.edges.delete(name)
    for (const user of edge.watched) unwatch(state, user)
  }
}
