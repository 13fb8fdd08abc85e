/** 003: how far the store knows each shard's log to have come. A row's write timestamp is its position: it only grows. */
export const places = {
  number: 3,
  name: "places",
  statements: [
    `CREATE TABLE IF NOT EXISTS log_places (
      log text, shard int, position bigint,
      PRIMARY KEY (log, shard)
    )`
  ]
}
