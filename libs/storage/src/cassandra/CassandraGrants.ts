/**
 * What roles of Cassandra may do on a cluster's keyspace, as statements for whoever administers it. Four kinds: who makes
 * the tables (once a version), who reads and writes rows (nodes that run shards), who writes behind (workers), who knows
 * users only (edges).
 */

/** Makes and changes tables, and whatever a node does: for the first node of a new version, or for all of them. */
export const ownerGrants = (keyspace: string, role: string): ReadonlyArray<string> =>
  ["CREATE", "ALTER", "SELECT", "MODIFY"].map((right) => `GRANT ${right} ON KEYSPACE ${keyspace} TO ${role}`)

/** Where the tables are there already. */
export const runnerGrants = (keyspace: string, role: string): ReadonlyArray<string> =>
  ["SELECT", "MODIFY"].map((right) => `GRANT ${right} ON KEYSPACE ${keyspace} TO ${role}`)

/** What is written behind the log: no users, no cursors, and not how far logs have come, which owners say (†24). */
const writtenBehind = (
  "messages channel_events message_edits message_ids block_changes block_counts channels channel_ids " +
  "members_by_channel member_buckets channels_by_user sessions mentions_by_user parked_events parked_entities parked_consumers"
).split(" ")

export const workerGrants = (keyspace: string, role: string): ReadonlyArray<string> => [
  `GRANT SELECT ON TABLE ${keyspace}.schema_migrations TO ${role}`,
  ...writtenBehind.flatMap((table) =>
    ["SELECT", "MODIFY"].map((right) => `GRANT ${right} ON TABLE ${keyspace}.${table} TO ${role}`)
  )
]

/** Profiles of users, and which version the tables are of. */
export const edgeGrants = (keyspace: string, role: string): ReadonlyArray<string> => [
  `GRANT SELECT ON TABLE ${keyspace}.schema_migrations TO ${role}`,
  `GRANT SELECT ON TABLE ${keyspace}.users TO ${role}`,
  `GRANT MODIFY ON TABLE ${keyspace}.users TO ${role}`
]
