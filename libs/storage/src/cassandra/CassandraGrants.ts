/**
 * What roles of Cassandra may do on a cluster's keyspace, as statements for whoever administers it. Three kinds: who makes
 * the tables (once a version), who reads and writes rows (nodes that run shards), who knows users only (edges).
 */

/** Makes and changes tables, and whatever a node does: for the first node of a new version, or for all of them. */
export const ownerGrants = (keyspace: string, role: string): ReadonlyArray<string> =>
  ["CREATE", "ALTER", "SELECT", "MODIFY"].map((right) => `GRANT ${right} ON KEYSPACE ${keyspace} TO ${role}`)

/** Where the tables are there already. */
export const runnerGrants = (keyspace: string, role: string): ReadonlyArray<string> =>
  ["SELECT", "MODIFY"].map((right) => `GRANT ${right} ON KEYSPACE ${keyspace} TO ${role}`)

/** Profiles of users, and which version the tables are of. */
export const edgeGrants = (keyspace: string, role: string): ReadonlyArray<string> => [
  `GRANT SELECT ON TABLE ${keyspace}.schema_migrations TO ${role}`,
  `GRANT SELECT ON TABLE ${keyspace}.users TO ${role}`,
  `GRANT MODIFY ON TABLE ${keyspace}.users TO ${role}`
]
