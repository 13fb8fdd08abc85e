/**
 * Where tests find the real services: NATS, Cassandra, Redis. The addresses are in the environment, put there by the
 * tests' set-up or by hand. Who asks for one that is missing fails with a sentence that says what to do: a test
 * that needs a service is never skipped.
 */

/** What `connect` of `@nats-io/transport-node` takes. */
export interface NatsOptions {
  readonly servers: Array<string>
  readonly user?: string
  readonly pass?: string
}

/** The servers as an application's user, or as the one of the system account (`$SYS`). */
export const natsOptions = async (account: "application" | "system" = "application"): Promise<NatsOptions> =>
  natsOptionsNow(account)

/** The same where nothing can be waited for: a missing one is thrown. */
export const natsOptionsNow = (account: "application" | "system" = "application"): NatsOptions => {
  const servers = needed("PARLEY_TEST_NATS", "NATS servers, such as nats://127.0.0.1:4222,nats://127.0.0.1:4223").split(
    ","
  )
  const prefix = account === "system" ? "PARLEY_TEST_NATS_SYSTEM" : "PARLEY_TEST_NATS"
  const user = process.env[`${prefix}_USER`]
  if (user !== undefined) return { servers, user, pass: needed(`${prefix}_PASSWORD`, `the password of ${user}`) }
  // Servers without accounts let anybody in, as nobody in particular; their system account is closed to that.
  if (account === "application") return { servers }
  throw new Error("This test reads NATS's system account: set PARLEY_TEST_NATS_SYSTEM_USER and _PASSWORD.")
}

/** `host:port`. */
export const cassandraContactPoint = async (): Promise<string> =>
  needed("PARLEY_TEST_CASSANDRA", "a Cassandra node, such as 127.0.0.1:9042")

export const redisUrl = async (): Promise<string> =>
  needed("PARLEY_TEST_REDIS", "a Redis server, such as redis://127.0.0.1:6379")

const needed = (variable: string, what: string): string => {
  const value = process.env[variable]
  if (value !== undefined && value !== "") return value
  const whyNot = process.env[`${variable}_WHY_NOT`]
  throw new Error(
    whyNot === undefined
      ? `This test needs ${what}: set ${variable}, or run it by \`npm test\`, which starts the services.`
      : `This test needs ${what}, and it could not be started: ${whyNot}`
  )
}
