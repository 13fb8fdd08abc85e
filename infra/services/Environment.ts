/**
 * The names under which programs find the services in their environment: `PARLEY_…` for a node, for `npm run services` and for
 * who types them, `PARLEY_TEST_…` for tests.
 */
import type { State } from "./State.ts"

export const environmentOf = (state: State, prefix: string): Readonly<Record<string, string>> => {
  const values = {
    NATS: state.natsServers?.join(","),
    NATS_USER: state.natsUser,
    NATS_PASSWORD: state.natsPassword,
    NATS_SYSTEM_USER: state.natsSystemUser,
    NATS_SYSTEM_PASSWORD: state.natsSystemPassword,
    CASSANDRA: state.cassandraContactPoints?.join(","),
    CASSANDRA_DATACENTER: state.cassandraDatacenter,
    REDIS: state.redisUrl
  }
  const variables: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) if (value !== undefined) variables[`${prefix}${name}`] = value
  return variables
}

/** `export NAME='value'`. */
export const shellLines = (state: State): ReadonlyArray<string> =>
  Object.entries(environmentOf(state, "PARLEY_")).map(
    ([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'`
  )
