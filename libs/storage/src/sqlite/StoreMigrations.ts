/**
 * The tables of `store.sqlite`, as numbered steps: each is applied once, in a transaction, and recorded. A step that
 * was released is never changed; the next one is appended.
 *
 * History is clustered by one integer, `channel key << 40 | seq`: a page is a seek and a run of neighbouring rows at any
 * depth, without a second index. 40 bits of seq are what write timestamps elsewhere have room for (DESIGN §6); 23 bits
 * are left for channels. The rows are small, because their texts are elsewhere, in the order in which they came (keys
 * apart from values: WiscKey, Lu et al., FAST 2016): a message to a channel of its own dirties a page of its own, and
 * with texts in it that page overflows every other time, into three more; counts read a fifth of the pages.
 */

export interface Migration {
  readonly number: number
  readonly name: string
  readonly sql: string
}

/** Seqs are below this; it is still inside the channel's own ids, so it can bound a range. */
export const seqLimit = 2 ** 40 - 1
/** Channels one embedded server can ever have. */
export const channelsMax = 2 ** 23 - 1

export const migrations: ReadonlyArray<Migration> = [
  {
    number: 1,
    name: "history, directory, cursors, mentions",
    sql: `
-- One row of one tree a channel, for a channel that wakes touches each page for the first time: the integer that stands
-- for it elsewhere, its newest committed position, the largest seq of any generation; then ChannelRow (generation -1:
-- there is none), and its stays where they are few (StayColumns). Plain messages write no row here: ChannelHead says
-- what follows from them.
CREATE TABLE channels (
  id TEXT PRIMARY KEY,
  key INTEGER NOT NULL CHECK (key <= ${channelsMax}),
  head_generation INTEGER NOT NULL DEFAULT -1,
  head_seq INTEGER NOT NULL DEFAULT 0,
  head_n INTEGER NOT NULL DEFAULT 0,
  top_seq INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT -1,
  seq INTEGER NOT NULL DEFAULT 0,
  n INTEGER NOT NULL DEFAULT 0,
  id_bound INTEGER NOT NULL DEFAULT 0,
  members INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL DEFAULT 0,
  fanout TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL DEFAULT '',
  topic TEXT NOT NULL DEFAULT '',
  stays TEXT DEFAULT '[]'
) STRICT, WITHOUT ROWID;
-- Has the id as well: it leads from other tables back to it.
CREATE UNIQUE INDEX channels_by_key ON channels (key);

-- MessageRow without its texts.
CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  place INTEGER NOT NULL,
  created INTEGER NOT NULL,
  n INTEGER NOT NULL,
  at INTEGER NOT NULL,
  sender TEXT NOT NULL,
  edit_generation INTEGER NOT NULL,
  edit_seq INTEGER NOT NULL,
  delete_generation INTEGER NOT NULL,
  delete_seq INTEGER NOT NULL
) STRICT;
-- One row for each of messages, appended.
CREATE TABLE texts (
  place INTEGER PRIMARY KEY,
  body BLOB NOT NULL,
  edit BLOB NOT NULL
) STRICT;

-- All events but messages. live_target is set on an edit that still has a text: the id of its message.
CREATE TABLE channel_events (
  id INTEGER PRIMARY KEY,
  generation INTEGER NOT NULL,
  live_target INTEGER,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX channel_events_by_live_target ON channel_events (live_target) WHERE live_target IS NOT NULL;

-- Messages that are not deleted, by block of seqs, in all and by sender; only for blocks below the newest one.
CREATE TABLE block_counts (
  channel INTEGER NOT NULL,
  block INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  PRIMARY KEY (channel, block)
) STRICT, WITHOUT ROWID;
CREATE TABLE block_senders (
  channel INTEGER NOT NULL,
  sender TEXT NOT NULL,
  block INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  PRIMARY KEY (channel, sender, block)
) STRICT, WITHOUT ROWID;

-- A client id begins with its time, so this key is in order of time: forgetting is a range, and needs no index.
CREATE TABLE message_ids (
  cid TEXT NOT NULL,
  channel INTEGER NOT NULL,
  sender TEXT NOT NULL,
  generation INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  n INTEGER NOT NULL,
  at INTEGER NOT NULL,
  body_hash TEXT NOT NULL,
  PRIMARY KEY (cid, channel, sender)
) STRICT, WITHOUT ROWID;

-- One stay a row; last is null while it lasts. Those of small channels are in their channel's row, too.
CREATE TABLE members (
  channel INTEGER NOT NULL,
  user TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER,
  role TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (channel, user, first)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user, channel) WHERE last IS NULL;

CREATE TABLE sessions (
  user TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  user_seq INTEGER NOT NULL,
  state BLOB NOT NULL
) STRICT;
CREATE TABLE users (
  user TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cursors (
  user TEXT NOT NULL,
  channel INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (user, channel)
) STRICT, WITHOUT ROWID;
CREATE INDEX cursors_by_channel ON cursors (channel);

CREATE TABLE mentions (
  user TEXT NOT NULL,
  channel INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  written_at INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  PRIMARY KEY (user, channel, seq)
) STRICT, WITHOUT ROWID;

-- What a sync commits (SqliteStoreSync).
CREATE TABLE sync_marker (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL) STRICT;
INSERT INTO sync_marker VALUES (1, 0);
`
  },
  {
    number: 2,
    name: "parked events",
    sql: `
CREATE TABLE parked_events (
  consumer TEXT NOT NULL,
  topic TEXT NOT NULL,
  id TEXT NOT NULL,
  generation INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  kind TEXT NOT NULL,
  why TEXT NOT NULL,
  parked_at INTEGER NOT NULL,
  event BLOB NOT NULL,
  PRIMARY KEY (consumer, topic, id, generation, seq)
) STRICT, WITHOUT ROWID;
`
  }
]
