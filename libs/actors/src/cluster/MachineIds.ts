/**
 * Leases a machine id to a runner: numbers that go into the ids Effect makes, unique among runners that live. Taken by
 * compare-and-set, given back when the runner leaves; a dead runner's is taken by another once the dead one is forgotten.
 */
import { Effect, Schema } from "effect"
import { type LeaseBucket, LeaseBucketUnavailable } from "./LeaseBucket.ts"
import { machineKey } from "./LeaseEntries.ts"
import type { LeaseView } from "./LeaseView.ts"

/** Effect's ids have ten bits for it. */
export const machineIdMax = 1_023

export class MachineIdsTaken extends Schema.TaggedError<MachineIdsTaken>()("MachineIdsTaken", {}) {
  override get message() {
    return `all ${machineIdMax + 1} machine ids are taken: too many runners, or too many that died in the last minutes`
  }
}

const swap = (bucket: LeaseBucket, id: number, runner: string, revision: number) =>
  Effect.tryPromise({
    try: () => bucket.swap(machineKey(id), { runner }, revision),
    catch: (cause) => new LeaseBucketUnavailable({ bucket: bucket.name, cause })
  })

/** `view` has to have caught up with the bucket. */
export const takeMachineId = (bucket: LeaseBucket, view: LeaseView, name: string) =>
  Effect.gen(function* () {
    for (let id = 0; id <= machineIdMax; id++) {
      const holder = view.machines.get(id)
      if (
        holder !== undefined &&
        holder !== "" &&
        holder !== name &&
        (view.runners.get(holder)?.state ?? "gone") !== "gone"
      )
        continue
      const written = yield* swap(bucket, id, name, view.revisionOf(machineKey(id)))
      if (typeof written === "number") return { id, revision: written }
    }
    return yield* new MachineIdsTaken()
  })

export const giveMachineId = (bucket: LeaseBucket, taken: { readonly id: number; readonly revision: number }) =>
  Effect.ignore(swap(bucket, taken.id, "", taken.revision))
