/** Broken builds of entities, their owners and the stores. */
import type { Mutant } from "./Mutants.ts"

const owner = "libs/actors/src/owner"
const memory = "libs/storage/src/memory"

export const stateMutants: ReadonlyArray<Mutant> = [
  {
    name: "ack-before-log",
    rule: "DURABLE-BEFORE-ACK",
    file: `${owner}/ShardOwner.ts`,
    find: "      waiters: [waiter],\n      reserved\n    }",
    put: "      waiters: [],\n      reserved\n    }\n    setImmediate(() => waiter(undefined))",
    seedsMax: 80
  },
  {
    name: "passivates-uncommitted",
    rule: "†1",
    file: `${owner}/Residents.ts`,
    find: "      resident.pending.length === 0 &&\n      !resident.dirty &&",
    put: "      !resident.dirty &&",
    seedsMax: 80
  },
  {
    name: "sync-after-removal",
    rule: "†15",
    file: `${owner}/ChannelSync.ts`,
    find: '    if (stay.to !== null) return done({ _tag: "Lost", channel, seq: stay.to })\n',
    put: "",
    seedsMax: 80
  },
  {
    name: "deleted-text-in-tail",
    rule: "†16",
    file: "libs/actors/src/channel/Tail.ts",
    find: "      this.#noteChange(event.seq)\n      this.#change(event)",
    put: "      this.#noteChange(event.seq)",
    seedsMax: 40
  },
  {
    name: "answers-past-lease",
    rule: "†17",
    file: `${owner}/ShardOwner.ts`,
    find: 'return this.#state === "serving" && this.context.leaseHeld(this.shard)',
    put: 'return this.#state === "serving"',
    seedsMax: 160
  },
  {
    name: "lease-from-answer",
    rule: "†17",
    file: `${owner}/Lease.ts`,
    find: "    return monotonic < this.deadline && wall < this.deadline &&",
    put: "    return monotonic < this.deadline + 6_000 &&",
    seedsMax: 160
  },
  {
    name: "suspension-not-counted",
    rule: "†17",
    file: `${owner}/Lease.ts`,
    find: " && wall < this.deadline &&",
    put: " &&",
    seedsMax: 160
  },
  {
    name: "bound-not-raised",
    rule: "†29",
    file: "libs/actors/src/channel/IdempotencyWindow.ts",
    find: "      for (const held of this.#heap) bound = Math.max(bound, held.time)\n",
    put: "",
    seedsMax: 120
  },
  {
    name: "failed-not-undone",
    rule: "†20",
    file: `${owner}/ShardOwner.ts`,
    find: "      pending.resident.pending.pop()\n      pending.undo()",
    put: "      pending.resident.pending.pop()",
    seedsMax: 80
  },
  {
    name: "offline-at-once",
    rule: "†6",
    file: "libs/actors/src/presence/PresenceState.ts",
    find: "    this.settledAt = now + limits.graceMs",
    put: "    this.settledAt = now",
    seedsMax: 80
  },
  {
    name: "ids-ahead",
    rule: "†30",
    file: "libs/actors/src/channel/ChannelState.ts",
    find: "  if (time > now + Limits.clientIdAheadMsMax) return",
    put: "  if (time < 0) return",
    seedsMax: 40
  },
  {
    name: "ids-of-long-ago",
    rule: "†30",
    file: "libs/actors/src/channel/ChannelState.ts",
    find: "  if (time < now - Limits.idempotencyWindowMs) return",
    put: "  if (time < 0) return",
    seedsMax: 40
  },
  {
    name: "older-channel-row-wins",
    rule: "†32",
    file: `${memory}/MemoryDirectory.ts`,
    find: "  const { generation, n, seq } = isLater(row, known) ? row : known",
    put: "  const { generation, n, seq } = row",
    seedsMax: 120
  },
  {
    name: "store-not-waited-for",
    rule: "WRITE-BEHIND-SAFE",
    file: `${owner}/StoreLookups.ts`,
    find: "  if (!owner.storeReady) return false\n",
    put: "",
    seedsMax: 200
  },
  {
    name: "cut-and-parked-not-put-back",
    rule: "†26",
    file: `${owner}/StoreLookups.ts`,
    find: '  if (!state.isCut || !owner.parked.has("channel", state.channel)) return true\n',
    put: "  return true\n",
    seedsMax: 400
  }
]
