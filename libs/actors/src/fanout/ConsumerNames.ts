/** The consumers of the log by name: those that hold it (it is cut below the lower of their positions), and the others. */
import { Context } from "effect"

/** Its position is the store's (†25). */
export const persisterConsumer = "persister"
/** Tells sessions, and notes when channels got their last messages. */
export const memberFanoutConsumer = "member-fanout"

/** Consumers that are cut loose where the log needs the room, and catch up from the store (†3). */
export const LooseConsumers = Context.Reference<ReadonlyArray<string>>("@parley/actors/LooseConsumers", {
  defaultValue: () => []
})

/** Up to where the log was cut though a loose consumer had not read it: a position under a name of its own. */
export const cutOf = (consumer: string): string => `${consumer}-cut`
