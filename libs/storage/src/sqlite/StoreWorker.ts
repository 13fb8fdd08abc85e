/**
 * One thread of the SQLite stores: opens the file in its role, then answers calls one after another. A call that throws
 * is answered with its error; the thread goes on. No Effect here: a thread should start fast.
 */
import { getPriority, setPriority } from "node:os"
import { parentPort, workerData } from "node:worker_threads"
import { readerCalls, writerCalls } from "./StoreCalls.ts"
import { isRefusal, openForReading, openForWriting, type OpenFailure } from "./StoreFile.ts"

export interface ThreadOptions {
  readonly file: string
  readonly role: "write" | "read"
}

/** What the thread is asked; null: close the file and end. */
export type ThreadRequest = {
  readonly id: number
  readonly method: string
  readonly args: ReadonlyArray<unknown>
} | null

/** The first answer says whether the file is open; the others each answer one request. */
export type ThreadAnswer =
  | { readonly _tag: "Opened" }
  | { readonly _tag: "OpenFailed"; readonly failure: OpenFailure }
  | { readonly _tag: "Ok"; readonly id: number; readonly value: unknown }
  /** `refused`: what was asked can't be done, now or later. */
  | { readonly _tag: "Failed"; readonly id: number; readonly cause: string; readonly refused: boolean }

const port = parentPort
if (port === null) throw new Error("StoreWorker runs as a thread of SqliteStores")
const answer = (...answers: ReadonlyArray<ThreadAnswer>): void => port.postMessage(answers)

/** Requests come in groups. Answers wait for one another only this long and in this number, so that a page does not wait for a herd. */
const answersMax = 32
const answersWaitMsMax = 2

/**
 * The writer gives way to the event loop and the log where there are fewer cores than threads: acks wait for those two,
 * and nobody for what is written behind. A third of their share is left to it, so it can't fall behind for ever.
 */
const writerNiceness = 5

// Reason for `as`: StoreThread starts this file with exactly these.
const { file, role } = workerData as ThreadOptions
const opened = role === "write" ? openForWriting(file) : openForReading(file)

if ("_tag" in opened) {
  answer({ _tag: "OpenFailed", failure: opened })
} else {
  const db = opened
  // Reason for `as`: methods and arguments are checked where they are called, by StoreThread's types.
  const calls = (role === "write" ? writerCalls(db) : readerCalls(db)) as unknown as Readonly<
    Record<string, (...args: ReadonlyArray<unknown>) => unknown>
  >
  const perform = ({ args, id, method }: NonNullable<ThreadRequest>): ThreadAnswer => {
    try {
      const call = calls[method]
      if (call === undefined) throw new Error(`the ${role} thread has no call ${method}`)
      return { _tag: "Ok", id, value: call(...args) }
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error)
      return { _tag: "Failed", id, cause, refused: isRefusal(error) }
    }
  }
  port.on("message", (requests: ReadonlyArray<ThreadRequest>) => {
    let answers: Array<ThreadAnswer> = []
    let since = performance.now()
    const flush = (): void => {
      if (answers.length > 0) answer(...answers)
      answers = []
      since = performance.now()
    }
    for (const request of requests) {
      if (request === null) {
        flush()
        db.close()
        port.close()
        return
      }
      answers.push(perform(request))
      if (answers.length >= answersMax || performance.now() - since > answersWaitMsMax) flush()
    }
    flush()
  })
  // Not before: a start waits for this thread. On Linux it is the calling thread's priority, elsewhere the whole process's.
  if (role === "write" && process.platform === "linux") setPriority(Math.max(getPriority(), writerNiceness))
  answer({ _tag: "Opened" })
}
