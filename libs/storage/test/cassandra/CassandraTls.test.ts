/** Over TLS a node talks only to a Cassandra whose certificate its authority signed: the login is not sent to another. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createServer } from "node:tls"
import { afterAll, assert, it } from "@effect/vitest"
import { makeClient } from "@parley/storage/cassandra/CassandraClient"

const folder = mkdtempSync(join(tmpdir(), "parley-tls-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Signed by itself, for 127.0.0.1; made anew for each run. */
const certificate = (name: string): { readonly cert: string; readonly key: string } => {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1"]
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"].concat(
      ["-keyout", key, "-out", cert],
      subject
    ),
    { stdio: "ignore" }
  )
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") }
}

/** What a server that listens with `own` has been sent by a client that trusts `trusted`. */
const bytesSent = async (own: ReturnType<typeof certificate>, trusted: string): Promise<number> => {
  let bytes = 0
  const server = createServer(own, (socket) => {
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      bytes += chunk.length
      socket.destroy()
    })
  })
  server.on("tlsClientError", () => {})
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  // as: a server on TCP has an address and a port.
  const { port } = server.address() as AddressInfo
  const client = makeClient(
    {
      contactPoints: ["127.0.0.1"],
      port,
      localDatacenter: "datacenter1",
      keyspace: "parley",
      replication: {},
      tls: { ca: [trusted] }
    },
    undefined
  )
  await client.connect().catch(() => {})
  await client.shutdown().catch(() => {})
  await new Promise((done) => server.close(done))
  return bytes
}

it("sends nothing to a server whose certificate another one signed", async () => {
  const [own, other] = [certificate("own"), certificate("other")]
  assert.isAbove(await bytesSent(own, own.cert), 0)
  assert.strictEqual(await bytesSent(own, other.cert), 0)
})
