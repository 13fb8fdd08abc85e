/**
 * 001: history. A place of a channel's sequence is a row of `messages` or of `channel_events`, by what its event is; both
 * have the same partitions, so a run of events is one mutation. Each column has one owner (†32), see MessageWrites.
 */

export const history = {
  number: 1,
  name: "history",
  statements: [
    // sent, body: the message's own (MessageColumns, Sent). edit_…: its newest edit's. delete_…: its delete's. What is only
    // ever written together is one value: a message costs Cassandra by its cells and rows more than by its bytes.
    `CREATE TABLE IF NOT EXISTS messages (
      channel text, bucket int, seq bigint,
      sent text, body blob,
      edit_generation int, edit_seq bigint, edit blob,
      delete_generation int, delete_seq bigint,
      PRIMARY KEY ((channel, bucket), seq)
    ) WITH CLUSTERING ORDER BY (seq DESC)`,
    `CREATE TABLE IF NOT EXISTS channel_events (
      channel text, bucket int, seq bigint,
      generation int, kind text, target bigint, body blob,
      PRIMARY KEY ((channel, bucket), seq)
    ) WITH CLUSTERING ORDER BY (seq ASC)`,
    // Which events edited a message: what a delete looks for, to take their texts away (†16).
    `CREATE TABLE IF NOT EXISTS message_edits (
      channel text, target bigint, seq bigint,
      generation int,
      PRIMARY KEY ((channel, target), seq)
    )`,
    // A minute of a channel's client ids, for the window beyond memory, in the order in which they come, nearly (MessageIds).
    // The only rows that end by themselves.
    `CREATE TABLE IF NOT EXISTS message_ids (
      channel text, minute bigint, id blob,
      ack text,
      PRIMARY KEY ((channel, minute), id)
    )`,
    // One row: ids before \`before\` are forgotten, whether their rows are still there or not.
    `CREATE TABLE IF NOT EXISTS message_id_bound (id int PRIMARY KEY, before bigint)`,
    // What changed a block of seqs since it was full, and what was counted in it after how many changes (BlockCounts).
    `CREATE TABLE IF NOT EXISTS block_changes (
      channel text, span int, block int, generation int, seq bigint,
      changed boolean,
      PRIMARY KEY ((channel, span), block, generation, seq)
    )`,
    `CREATE TABLE IF NOT EXISTS block_counts (
      channel text, span int, block int,
      counts text,
      PRIMARY KEY ((channel, span), block)
    )`
  ]
}
