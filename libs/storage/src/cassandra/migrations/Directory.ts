/**
 * 002: directory, cursors, mentions, parked events. Rows are made of values with the write timestamps of what owns them
 * (†32): nothing is deleted, and a row without its creating columns is absent. Partitions are bounded by what is said
 * of each; buckets are Buckets.ts'.
 */

export const directory = {
  number: 2,
  name: "directory, cursors, mentions, parked events",
  statements: [
    // generation, seq, n: the row's event or a later one that only moved it. id_bound: its own timestamp, the largest wins.
    // head_…: the newest event of its history, which may be there before the row; top: the largest seq of any generation.
    // Both in one row: as a rule they are written together, and a partition costs more than cells.
    `CREATE TABLE IF NOT EXISTS channels (
      channel text PRIMARY KEY,
      generation int, seq bigint, n bigint,
      name text, topic text, fanout text, created_at bigint, members int,
      id_bound bigint,
      head_generation int, head_seq bigint, head_n bigint,
      top bigint
    )`,
    // All channels, for listings in order of their ids: a 128th of them a partition, 100 million are 60 MB in each.
    `CREATE TABLE IF NOT EXISTS channel_ids (
      bucket int, channel text,
      listed boolean,
      PRIMARY KEY (bucket, channel)
    )`,
    // A stay a row. Bucket 0: the stays of a channel's beginning, at most 100,000; 1 …: a 64th of the later ones each.
    `CREATE TABLE IF NOT EXISTS members_by_channel (
      channel text, bucket int, user text, first bigint,
      last bigint, role text, seq bigint,
      PRIMARY KEY ((channel, bucket), user, first)
    )`,
    // The buckets that have members: who lists a small channel reads one or two, not all.
    `CREATE TABLE IF NOT EXISTS member_buckets (
      channel text, bucket int,
      used boolean,
      PRIMARY KEY (channel, bucket)
    )`,
    // His latest stay in each channel. As large as a list that his session has in memory anyway: 10,000 channels are 1 MB.
    `CREATE TABLE IF NOT EXISTS channels_by_user (
      user text, channel text,
      first bigint, last bigint, role text, seq bigint,
      PRIMARY KEY (user, channel)
    )`,
    `CREATE TABLE IF NOT EXISTS sessions (
      user text PRIMARY KEY,
      generation int, user_seq bigint, state blob
    )`,
    `CREATE TABLE IF NOT EXISTS users (
      user text PRIMARY KEY,
      name text, created_at bigint
    )`,
    // As channels_by_user: his session has all of them in memory.
    `CREATE TABLE IF NOT EXISTS read_cursors_by_user (
      user text, channel text,
      generation int, seq bigint,
      PRIMARY KEY (user, channel)
    )`,
    // Of channels that were small when the cursor moved.
    `CREATE TABLE IF NOT EXISTS read_cursors_by_channel (
      channel text, user text,
      generation int, seq bigint,
      PRIMARY KEY (channel, user)
    )`,
    // named: 1, or 0 for a mention that was taken away. A million seqs a partition.
    `CREATE TABLE IF NOT EXISTS mentions_by_user (
      user text, channel text, bucket int, seq bigint,
      named int,
      PRIMARY KEY ((user, channel, bucket), seq)
    )`,
    // parked: false for what was written after all, or given up; its bytes are gone then. 10,000 at most a shard at a time.
    `CREATE TABLE IF NOT EXISTS parked_events (
      consumer text, topic text, id text, generation int, seq bigint,
      shard int, kind text, why text, parked_at bigint, event blob, parked boolean,
      PRIMARY KEY ((consumer, topic, id), generation, seq)
    )`,
    // Where to look for them: entities that have or had some.
    `CREATE TABLE IF NOT EXISTS parked_entities (
      consumer text, bucket int, topic text, id text,
      listed boolean,
      PRIMARY KEY ((consumer, bucket), topic, id)
    )`,
    `CREATE TABLE IF NOT EXISTS parked_consumers (
      list int, consumer text,
      listed boolean,
      PRIMARY KEY (list, consumer)
    )`
  ]
}
