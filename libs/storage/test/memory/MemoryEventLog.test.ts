import { MemoryEventLog } from "../../src/memory/MemoryEventLog.ts"
import { eventLogContract } from "../EventLogContract.ts"

for (const positions of ["shared", "dense"] as const) {
  eventLogContract(
    `the memory log with ${positions} positions`,
    (bounds) => MemoryEventLog.layer({ ...bounds, positions, recordBytesMax: 100_000 }),
    { persistent: false, keepsOwn: false, recordBytesMax: 100_000 }
  )
}
