/**
 * Bytes that the channels and sessions of one shard share: whichever there is more of may have what the others leave.
 * Each table says what it holds, and makes room while all together are above the bound.
 */
export class MemoryBudget {
  readonly bytesMax: number
  used = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get exceeded(): boolean {
    return this.used > this.bytesMax
  }
}

/** Of one shard. */
export interface ShardMemory {
  readonly resident: MemoryBudget
  readonly warm: MemoryBudget
}
