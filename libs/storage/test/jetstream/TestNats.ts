/** The real NATS servers that tests use, and names of their own in them. */
import { randomBytes } from "node:crypto"

/** The servers under test: three with JetStream, which sync always. */
export const natsServers = (): ReadonlyArray<string> => {
  const servers = process.env["PARLEY_TEST_NATS"]
  if (servers === undefined || servers === "") {
    throw new Error("PARLEY_TEST_NATS is not set: this test needs three real NATS servers (host:port, comma-separated)")
  }
  return servers.split(",")
}

/** A prefix that no other test has. */
export const ownPrefix = (): string => `test-js-${randomBytes(5).toString("hex")}`
