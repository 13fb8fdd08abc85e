/**
 * Waiting for a service, and the questions that only a service that works can answer: each speaks the service's own
 * protocol. A wait has a name and an end, and ends early when the process has.
 */
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import { ServicesError } from "./ServicesError.ts"

const pollMs = 100
/** One question. */
const answerMsMax = 2_000
const answerBytesMax = 65_536

export interface Wait {
  /** Such as "NATS nats-1 at 127.0.0.1:20001". */
  readonly what: string
  readonly msMax: number
  /** The log that says why. */
  readonly log: string
  readonly runs: () => boolean
  readonly answers: () => Promise<boolean>
}

export const waitFor = async ({ answers, log, msMax, runs, what }: Wait): Promise<void> => {
  const end = performance.now() + msMax
  while (!(await answers())) {
    if (!runs()) throw new ServicesError(`${what} ended before it was ready. ${lastWords(log)}`)
    if (performance.now() >= end) {
      throw new ServicesError(`${what} was not ready after ${msMax / 1_000} s. ${lastWords(log)}`)
    }
    await delay(pollMs)
  }
}

const lastWords = (log: string): string => {
  const lines = tail(log, 8)
  return lines.length === 0 ? `Its log ${log} is empty.` : `The end of its log ${log}:\n  ${lines.join("\n  ")}`
}

/** The last lines of a log, none if there is no log. */
export const tail = (log: string, lines: number): ReadonlyArray<string> => {
  try {
    return readFileSync(log, "utf8").trimEnd().split("\n").slice(-lines)
  } catch {
    return []
  }
}

/** Sends `question` and reads until `isAnswer` says what it is, the connection ends or the time is over. */
const ask = (
  host: string,
  port: number,
  question: Buffer | undefined,
  isAnswer: (bytes: Buffer) => boolean | undefined
): Promise<boolean> =>
  new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    const socket = connect({ host, port })
    const done = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(answerMsMax, () => done(false))
    socket.on("error", () => done(false))
    socket.on("close", () => done(false))
    socket.on("connect", () => question !== undefined && socket.write(question))
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      const answer = isAnswer(bytes)
      if (answer !== undefined || bytes.length > answerBytesMax) done(answer === true)
    })
  })

/** A NATS server introduces itself. With `name`: as that one. */
export const natsAnswers = (host: string, port: number, name?: string): Promise<boolean> =>
  ask(host, port, undefined, (bytes) => {
    const line = bytes.toString("latin1")
    if (!line.includes("\r\n")) return undefined
    return line.startsWith("INFO ") && (name === undefined || line.includes(`"server_name":${JSON.stringify(name)}`))
  })

/** By its monitor: JetStream works, and in a cluster has a leader that this server follows. */
export const natsIsHealthy = async (host: string, monitorPort: number): Promise<boolean> => {
  try {
    const answer = await fetch(`http://${host}:${monitorPort}/healthz`, { signal: AbortSignal.timeout(answerMsMax) })
    await answer.arrayBuffer()
    return answer.ok
  } catch {
    return false
  }
}

export const redisAnswers = (host: string, port: number): Promise<boolean> =>
  ask(host, port, Buffer.from("PING\r\n"), (bytes) => {
    if (!bytes.includes("\r\n")) return undefined
    // One that wants a password answers, too.
    return bytes.toString("latin1").startsWith("+PONG") || bytes.toString("latin1").startsWith("-NOAUTH")
  })

const cqlOptions = 0x05
const cqlSupported = 0x06
const cqlHeaderBytes = 9

/** A frame of CQL's version 4: OPTIONS, which is answered by SUPPORTED before any login. */
export const cassandraAnswers = (host: string, port: number): Promise<boolean> =>
  ask(host, port, Buffer.from([0x04, 0, 0, 0, cqlOptions, 0, 0, 0, 0]), (bytes) =>
    bytes.length < cqlHeaderBytes ? undefined : bytes[0] === 0x84 && bytes[4] === cqlSupported
  )
