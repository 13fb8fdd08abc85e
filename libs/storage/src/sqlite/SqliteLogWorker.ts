/**
 * The thread that has the embedded log's file: takes batches and questions one at a time and answers each. Whatever
 * leaves the file in doubt ends the thread; the main thread starts another, which opens the file anew. Checkpoints run
 * between batches, when it is idle or when the write-ahead file has grown. No Effect here: it starts in milliseconds.
 */
import { parentPort, workerData } from "node:worker_threads"
import { LogBatch, Outcome } from "./LogBatch.ts"
import { causeText, isBusy, isCorrupt, isDiskFull, NotALog } from "./LogDatabase.ts"
import { type CommitResult, LogFile } from "./LogFile.ts"
import { isDamage, type ReadResult } from "./LogReads.ts"
import type { LogAnswer, LogAsk, LogFileOptions, LogReply, LogRequest, StoredPosition } from "./LogWorkerMessages.ts"

/** With nothing to do for this long, a write-ahead file of some size is brought into the main one. */
const idleCheckpointMs = 100
/** … of a quarter of what it may grow to: less is left for the next time, each checkpoint costs two fsyncs. */
const idleCheckpointShare = 4

if (parentPort === null) throw new Error("SqliteLogWorker runs as a worker thread")
const port = parentPort
// The only sender is LogWorkerClient, which passes these options.
const options = workerData as LogFileOptions

const reply = (message: LogReply, transfer: ReadonlyArray<ArrayBuffer> = []): void =>
  port.postMessage(message, [...transfer])

const open = (): LogFile | undefined => {
  try {
    const file = LogFile.open(options)
    reply({ _tag: "Opened", positions: file.positions(), damage: file.damage(), diskFull: !file.space.hasRoom() })
    return file
  } catch (error) {
    const damaged = isCorrupt(error) || error instanceof NotALog
    const what = isBusy(error) ? "another process has it open" : causeText(error)
    reply({ _tag: "NotOpened", damaged, what })
    port.close()
    return undefined
  }
}

const start = (file: LogFile): void => {
  let idleTimer: NodeJS.Timeout | undefined
  let lastWriteAt = 0

  /** Says so before anything else, so that nothing more is sent here. */
  const ending = (error: unknown): void => reply({ _tag: "Ending", what: causeText(error) })
  const end = (): void => {
    clearTimeout(idleTimer)
    file.abandon()
    port.close()
  }

  const checkpointWhenIdle = (): void => {
    idleTimer = undefined
    if (performance.now() - lastWriteAt < idleCheckpointMs - 1) return armIdleTimer()
    guarded(() => file.space.checkpoint())
  }
  const armIdleTimer = (): void => {
    idleTimer ??= setTimeout(checkpointWhenIdle, idleCheckpointMs)
  }

  /** Runs what answers nobody; a failure ends the thread. */
  const guarded = (body: () => void): void => {
    try {
      body()
    } catch (error) {
      ending(error)
      end()
    }
  }

  const written = (): void =>
    guarded(() => {
      lastWriteAt = performance.now()
      const wal = file.space.walBytes()
      if (wal > options.walBytesMax) file.space.checkpoint()
      else if (wal * idleCheckpointShare > options.walBytesMax) armIdleTimer()
    })

  const commit = (buffer: ArrayBuffer, positions: ReadonlyArray<StoredPosition>): void => {
    const batch = new LogBatch(buffer)
    let result: CommitResult
    try {
      result = file.commit(batch, positions)
    } catch (error) {
      for (let i = 0; i < batch.count; i++) batch.setOutcome(i, Outcome.ambiguous, 0)
      result = { cause: causeText(error), positionsStored: false, broken: true }
    }
    if (result.broken) ending(result.cause)
    reply({ _tag: "BatchDone", buffer, cause: result.cause, positionsStored: result.positionsStored }, [buffer])
    if (result.broken) end()
    else written()
  }

  const storePositions = (positions: ReadonlyArray<StoredPosition>): void => {
    try {
      file.storePositions(positions)
      reply({ _tag: "PositionsDone", stored: true })
    } catch (error) {
      if (!isDiskFull(error)) ending(error)
      reply({ _tag: "PositionsDone", stored: false })
      if (!isDiskFull(error)) end()
    }
  }

  const answerRecords = (id: number, result: ReadResult): void => {
    if (isDamage(result)) return reply({ _tag: "Answer", id, answer: { _tag: "Damaged", damage: result } })
    const answer: LogAnswer = { _tag: "Records", records: result }
    reply(
      { _tag: "Answer", id, answer },
      result.map((record) => record.bytes.buffer)
    )
  }

  /** A step a turn, so that batches get in between. */
  const purge = (id: number, shard: number, upTo: number, positions: ReadonlyArray<StoredPosition>): void => {
    const damage = file.damageOf(shard)
    if (damage !== undefined) return reply({ _tag: "Answer", id, answer: { _tag: "Damaged", damage } })
    try {
      const more = file.purgeStep(shard, upTo, positions)
      written()
      if (more) setImmediate(purge, id, shard, upTo, [])
      else reply({ _tag: "Answer", id, answer: { _tag: "Purged" } })
    } catch (error) {
      if (!isDiskFull(error)) ending(error)
      reply({ _tag: "Answer", id, answer: { _tag: "Failed", cause: causeText(error) } })
      if (!isDiskFull(error)) end()
    }
  }

  const answer = (id: number, ask: LogAsk): void => {
    switch (ask._tag) {
      case "Last":
        return answerRecords(id, file.reads.last(ask.shard))
      case "Read":
        return answerRecords(id, file.reads.read(ask.shard, ask.position))
      case "ReadAfter":
        return answerRecords(id, file.reads.readAfter(ask.shard, ask.after, ask.bytesMax))
      case "Purge":
        return purge(id, ask.shard, ask.upTo, ask.positions)
      case "Usage":
        return reply({ _tag: "Answer", id, answer: { _tag: "Usage", bytes: file.bytes() } })
      case "Shards":
        return reply({ _tag: "Answer", id, answer: { _tag: "Shards", shards: file.shards() } })
    }
  }

  port.on("message", (request: LogRequest) => {
    switch (request._tag) {
      case "Batch":
        return commit(request.buffer, request.positions)
      case "Positions":
        return storePositions(request.positions)
      case "Ask":
        try {
          return answer(request.id, request.ask)
        } catch (error) {
          return reply({ _tag: "Answer", id: request.id, answer: { _tag: "Failed", cause: causeText(error) } })
        }
      case "Close":
        clearTimeout(idleTimer)
        guarded(() => file.close(request.positions))
        reply({ _tag: "Closed" })
        return port.close()
    }
  })
}

const file = open()
if (file !== undefined) start(file)
