import { afterAll } from "vitest"
import { recordBytesMax } from "../../src/jetstream/JetStreamSetup.ts"
import { eventLogContract } from "../EventLogContract.ts"
import { logLayer, ownPrefix, removeStreams } from "./TestNats.ts"

const prefix = ownPrefix()
let logs = 0

afterAll(() => removeStreams(prefix))

eventLogContract("the JetStream log", (bounds) => logLayer({ prefix: `${prefix}-${logs++}`, ...bounds }), {
  persistent: true,
  keepsOwn: true,
  recordBytesMax
})
