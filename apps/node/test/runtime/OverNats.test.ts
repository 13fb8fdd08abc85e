/** The scenarios of the runtime once more, with NATS between the edge that asks and the node that owns. */
import { useBus } from "./World.ts"

useBus("nats")
await import("./Channels.test.ts")
await import("./Sessions.test.ts")
await import("./Reads.test.ts")
await import("./Rules.test.ts")
await import("./Faults.test.ts")
