/** A store thread that keeps no file: it answers `echo`, never answers `hang`, and dies of `die`. */
import { parentPort } from "node:worker_threads"
import type { ThreadAnswer, ThreadRequest } from "../src/sqlite/StoreWorker.ts"

// The rule is about windows; a thread has no origin.
// oxlint-disable-next-line require-post-message-target-origin
const answer = (it: ThreadAnswer): void => parentPort?.postMessage([it])

parentPort?.on("message", (requests: ReadonlyArray<ThreadRequest>) => {
  for (const request of requests) {
    if (request === null) return parentPort?.close()
    if (request.method === "die") throw new Error("died of it")
    if (request.method === "echo") answer({ _tag: "Ok", id: request.id, value: request.args[0] })
  }
})
answer({ _tag: "Opened" })
