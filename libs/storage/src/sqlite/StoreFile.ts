/**
 * Opening `store.sqlite`, in a worker thread: is it ours, is it whole, is it of a version this code knows; then the
 * migrations it lacks. A file that is refused keeps its contents (at most, SQLite moves commits from its WAL into it). No Effect here: a thread should start fast.
 */
import { statSync } from "node:fs"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { migrations } from "./StoreMigrations.ts"

export type OpenFailure =
  | { readonly _tag: "Damaged"; readonly what: string }
  | { readonly _tag: "Newer"; readonly found: number; readonly known: number }
  | { readonly _tag: "Unavailable"; readonly cause: string }

/** Marks the file as Parley's store ("PSto"). */
const applicationId = 0x5053746f
/** How long one connection waits for the other (a checkpoint, recovery) or for a backup tool. */
const busyMsMax = 5_000
/** Pages each connection keeps, in KiB. */
const cacheKiB = 16_384
/**
 * A message to a channel of its own dirties a page of its own, which is copied twice and summed up once: half of SQLite's
 * default is a quarter less of the writer's time, and costs a reader little (`bench scale`). Of a new file only.
 */
const pageBytes = 2_048
/** Pages in the WAL before a commit moves them to the file (64 MiB): the pages of busy channels are moved once, not each time. */
const walPagesMax = 32_768
/** The WAL is cut back to this after a checkpoint. */
const walBytesMax = 64 * 1024 * 1024
/** A file up to this size is checked page by page at every start; of a larger one only what is read. */
const checkedFileBytesMax = 64 * 1024 * 1024

// Reason for `as unknown as`: node:sqlite can't know a row's columns; the SQL at the call names them.
export const rowsOf = <Row>(statement: StatementSync, ...values: ReadonlyArray<SQLInputValue>): ReadonlyArray<Row> =>
  statement.all(...values) as unknown as ReadonlyArray<Row>
// Reason for `as unknown as`: the same.
export const rowOf = <Row>(statement: StatementSync, ...values: ReadonlyArray<SQLInputValue>): Row | undefined =>
  statement.get(...values) as unknown as Row | undefined

/**
 * The end of a statement: its rows are at most what is bound to `parameter`. SQLite looks at a bare `LIMIT ?` when it
 * plans, and so compiles the statement anew each time it is run; at an expression it does not look.
 */
export const limitOf = (parameter: string): string => `LIMIT ${parameter} + 0`

/** A statement whose rows are arrays: objects of a dozen named values cost more than reading them. */
export const tuplesOf = (db: DatabaseSync, sql: string): StatementSync => {
  const statement = db.prepare(sql)
  statement.setReturnArrays(true)
  return statement
}

const transactions = new WeakMap<DatabaseSync, ReturnType<typeof prepareTransaction>>()
const prepareTransaction = (db: DatabaseSync) => ({
  BEGIN: db.prepare("BEGIN"),
  "BEGIN IMMEDIATE": db.prepare("BEGIN IMMEDIATE"),
  COMMIT: db.prepare("COMMIT")
})

/** Most transactions of the reader are a few microseconds: compiling their ends would be half of each. */
const transactionOf = (db: DatabaseSync): ReturnType<typeof prepareTransaction> => {
  const known = transactions.get(db) ?? prepareTransaction(db)
  transactions.set(db, known)
  return known
}

/** One transaction; what throws leaves nothing behind. */
export const inTransaction = <A>(db: DatabaseSync, begin: "BEGIN" | "BEGIN IMMEDIATE", run: () => A): A => {
  const statements = transactionOf(db)
  statements[begin].run()
  try {
    const result = run()
    statements.COMMIT.run()
    return result
  } catch (error) {
    // SQLite rolls back by itself after some failures (a full disk).
    if (db.isTransaction) db.exec("ROLLBACK")
    throw error
  }
}

/** SQLite's extended result code; 0 for any other error. */
export const errorCode = (error: unknown): number =>
  typeof error === "object" && error !== null && "errcode" in error && typeof error.errcode === "number"
    ? error.errcode
    : 0

// The primary result codes (the low byte) that say that these values will never do: too big, a constraint, a type, a range.
const refusals = new Set([18, 19, 20, 25])
/** Whether a call failed by what it was given: by one of these, or before it came to SQLite. */
export const isRefusal = (error: unknown): boolean => {
  const code = errorCode(error) & 0xff
  return code === 0
    ? error instanceof RangeError || error instanceof TypeError || error instanceof SyntaxError
    : refusals.has(code)
}

// The primary result codes (the low byte) that say the file's bytes are wrong.
const corrupt = 11
const notADatabase = 26

const failureOf = (error: unknown): OpenFailure => {
  const text = error instanceof Error ? error.message : String(error)
  const primary = errorCode(error) & 0xff
  return primary === corrupt || primary === notADatabase
    ? { _tag: "Damaged", what: text }
    : { _tag: "Unavailable", cause: text }
}

const pragma = (db: DatabaseSync, name: string): number =>
  Object.values(rowOf<Record<string, number>>(db.prepare(`PRAGMA ${name}`)) ?? {})[0] ?? 0

/** Looks before anything is written. */
const inspect = (db: DatabaseSync, file: string): OpenFailure | undefined => {
  const tables = rowOf<{ n: number }>(db.prepare("SELECT count(*) AS n FROM sqlite_schema"))?.n ?? 0
  if (tables === 0) return undefined
  if (pragma(db, "application_id") !== applicationId) {
    return { _tag: "Damaged", what: `${file} is a database, but not one of Parley's stores` }
  }
  const found = rowOf<{ n: number }>(db.prepare("SELECT max(number) AS n FROM migrations"))?.n ?? 0
  if (found > migrations.length) return { _tag: "Newer", found, known: migrations.length }
  if (statSync(file).size > checkedFileBytesMax) return undefined
  const check = rowOf<{ quick_check: string }>(db.prepare("PRAGMA quick_check(1)"))?.quick_check
  return check === "ok" ? undefined : { _tag: "Damaged", what: `${file}: ${check}` }
}

/** Applies what is missing. Under synchronous FULL: a half-known schema must not come out of a loss of power. */
const migrate = (db: DatabaseSync): void => {
  db.exec("PRAGMA synchronous = FULL")
  inTransaction(db, "BEGIN IMMEDIATE", () => {
    db.exec(`PRAGMA application_id = ${applicationId}`)
    db.exec(
      "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
    )
  })
  const applied = rowOf<{ n: number | null }>(db.prepare("SELECT max(number) AS n FROM migrations"))?.n ?? 0
  for (const migration of migrations.slice(applied)) {
    inTransaction(db, "BEGIN IMMEDIATE", () => {
      db.exec(migration.sql)
      db.prepare("INSERT INTO migrations VALUES (?, ?, ?)").run(migration.number, migration.name, Date.now())
    })
  }
}

/**
 * The writer's connection, opened first. NORMAL: a commit is not synced, a checkpoint is; the log keeps what may be
 * lost until `sync` says otherwise.
 */
export const openForWriting = (file: string): DatabaseSync | OpenFailure => {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(file, { timeout: busyMsMax })
    const refused = inspect(db, file)
    if (refused !== undefined) {
      db.close()
      return refused
    }
    // Before the journal's mode: that writes the first page.
    db.exec(`PRAGMA page_size = ${pageBytes}`)
    db.exec("PRAGMA journal_mode = WAL")
    db.exec(`PRAGMA wal_autocheckpoint = ${walPagesMax}; PRAGMA journal_size_limit = ${walBytesMax}`)
    // FAST: what is overwritten or deleted is zeroed where the page is written anyway.
    db.exec(`PRAGMA cache_size = -${cacheKiB}; PRAGMA secure_delete = FAST`)
    migrate(db)
    db.exec("PRAGMA synchronous = NORMAL")
    return db
  } catch (error) {
    db?.close()
    return failureOf(error)
  }
}

/** A reader's connection: in WAL mode it sees the last commit and waits for no writer. */
export const openForReading = (file: string): DatabaseSync | OpenFailure => {
  try {
    const db = new DatabaseSync(file, { timeout: busyMsMax, readOnly: true })
    db.exec(`PRAGMA cache_size = -${cacheKiB}`)
    return db
  } catch (error) {
    return failureOf(error)
  }
}
