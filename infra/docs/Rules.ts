/**
 * The numbered rules of the design (†1 … †32), each in a sentence, and what of it only several machines can show. The
 * page docs/rules.md puts beside each the tests that carry its number; a test fails when one has none.
 */
export interface Rule {
  readonly number: number
  readonly says: string
  /** What one process can't show, and why. */
  readonly severalNodes?: string
}

const says: ReadonlyArray<string> = [
  "An entity with uncommitted events does not passivate.",
  "The number of shards is the cluster's; a node configured otherwise refuses to start.",
  "The persister and the member fan-out hold the log; other consumers are cut loose beyond a bound and catch up from the store.",
  "A position is (generation, seq); a client of another generation reloads. Ids of deleted channels are never used again.",
  "Cursors are values merged by max; a session passivates only after its cursors are stored.",
  "Edges report presence in batches; a new owner says nobody is offline before it has listened for a grace period.",
  "The owner authorises each user that an attach names, also where the edge holds the topic already.",
  "User topic, list, attach, then sync up to at least the attached heads; what comes live meanwhile waits.",
  "Links are numbered, kept in a ring, repaired by heads; digests show lost interest and moves.",
  "Inboxes order work, heads decide what is new; idempotent, coalesced, allowed to lag.",
  "A consumer knows members as of its own place in the log.",
  "Added, removed and switched-to-write reach each member by log, member fan-out, and a logged event of his session.",
  "A cursor moves to what a send's device has seen, not to the send; one's own messages are not unread.",
  "Every frame, page and sync answer says which range it covers; what a member may not see is covered, not sent.",
  "A removed member reads nothing; reads are clipped at the membership's intervals and at one head.",
  "What was deleted has no text in tail, event table, index or replay.",
  'A request names an epoch; an owner of another one, or past its lease\'s deadline, answers "not mine".',
  "Epoch and deadline are checked again after any wait.",
  "A record's identity (epoch, number, hash, predecessor) is never used for other bytes.",
  "A refused record takes down what gathered behind it; entities return to their committed state.",
  "After an ambiguous attempt only success, or another record at its place, settles a record.",
  "What a refusal names is read from the leader: mine, overtaken, or read again.",
  "A takeover writes an epoch record behind the very last record, then replays a whole chain, and only then serves.",
  "A log that is behind anything known, or damaged, quarantines its shard and is never written over.",
  "A floor is the end of the contiguous prefix that is done, never a maximum.",
  "An event that can't be written is parked first; reads of its range merge it.",
  "The log is cut below its consumers, after the store's sync, and never the last record of a shard.",
  "Between the soft and the hard bound there is room for epoch records and checkpoints.",
  "The idempotency window has every id after T; older ones are looked up.",
  "Ids ahead of the clock are refused with the server's time, those older than the window as expired.",
  'The floor is read before the rows; an owner whose tail starts above it answers "read again".',
  "One sequence a column: writes carry their position, smaller ones change nothing, in any order, any number of times."
]

const severalNodes: Readonly<Record<number, string>> = {
  17: "A process that is paused past its lease (SIGSTOP, a suspended machine): here the clocks are the test's.",
  22: "Leaders that change: that reads which decide never go to a follower is JetStream's to show.",
  23: "The state handed over by a drain, from one process to another.",
  24: "A log cluster that comes back with less than it had, and heads that clients name.",
  27: "A store that acks before it syncs, on other machines: the trailing by its sync period.",
  32: "The scan of WRITETIME, and statements that can't be prepared without a timestamp: Cassandra's."
}

export const rules: ReadonlyArray<Rule> = says.map((sentence, index) => {
  const left = severalNodes[index + 1]
  return { number: index + 1, says: sentence, ...(left === undefined ? {} : { severalNodes: left }) }
})
