/** One question to a Cassandra node in CQL's own frames, without a driver: how many peers it knows. */
import { connect } from "node:net"

const answerMsMax = 5_000
/** An answer in version 4 of the protocol. */
const cqlAnswer = 0x84
const opcode = {
  startup: 0x01,
  ready: 0x02,
  authenticate: 0x03,
  query: 0x07,
  result: 0x08,
  login: 0x0f,
  loggedIn: 0x10
}
const consistencyOne = 0x0001
/** The answer leaves out what it says of its columns. */
const skipMetadata = 0x02
const resultOfRows = 2
const headerBytes = 9
/** In a result without metadata: kind, flags, column count, then the number of rows. */
const rowCountAt = 12

/** None if it does not answer, or wants another login than the one that a fresh Cassandra has. */
export const cassandraPeers = (host: string, port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    const done = (peers: number | undefined): void => {
      socket.destroy()
      resolve(peers)
    }
    socket.setTimeout(answerMsMax, () => done(undefined))
    socket.on("error", () => done(undefined))
    socket.on("close", () => done(undefined))
    socket.on("connect", () => socket.write(frame(opcode.startup, startupBody)))
    let bytes = Buffer.alloc(0)
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes[0] !== cqlAnswer) return done(undefined)
      while (bytes.length >= headerBytes && bytes.length >= headerBytes + bytes.readInt32BE(5)) {
        const end = headerBytes + bytes.readInt32BE(5)
        const body = bytes.subarray(headerBytes, end)
        const kind = bytes[4]
        bytes = bytes.subarray(end)
        if (kind === opcode.authenticate) socket.write(frame(opcode.login, loginBody))
        else if (kind === opcode.ready || kind === opcode.loggedIn) socket.write(frame(opcode.query, queryBody))
        else return done(kind === opcode.result && body.readInt32BE(0) === resultOfRows ? rowCount(body) : undefined)
      }
    })
  })

const rowCount = (body: Buffer): number => body.readInt32BE(rowCountAt)

const frame = (kind: number, body: Buffer): Buffer => {
  const header = Buffer.alloc(headerBytes)
  header[0] = 0x04
  header[4] = kind
  header.writeInt32BE(body.length, 5)
  return Buffer.concat([header, body])
}

const short = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

const text = (value: string): Buffer => Buffer.concat([short(Buffer.byteLength(value)), Buffer.from(value)])

const longText = (value: string): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(Buffer.byteLength(value))
  return Buffer.concat([length, Buffer.from(value)])
}

/** Bytes of a user and his password, each behind a zero. */
const loginBody = longText("\0cassandra\0cassandra")
const startupBody = Buffer.concat([short(1), text("CQL_VERSION"), text("3.0.0")])
const queryBody = Buffer.concat([
  longText("SELECT peer FROM system.peers_v2"),
  short(consistencyOne),
  Buffer.from([skipMetadata])
])
