import { createServer } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schedule } from "effect"
import { connectNats, Nats } from "../../src/jetstream/Nats.ts"
import { natsLogin, natsServers } from "./TestNats.ts"

/** A port that nobody listens at. */
const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

describe("a connection to NATS", () => {
  it.live("is made, answers, and is closed with its scope", () =>
    Effect.gen(function* () {
      const connection = yield* Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* connectNats({ servers: natsServers(), name: "test", ...natsLogin() })
          yield* Effect.promise(() => connection.flush())
          assert.isFalse(connection.isClosed())
          return connection
        })
      )
      assert.isTrue(connection.isClosed())
    })
  )

  it.live("is made to the first server that answers, where they are given in order", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const own = natsServers()
      assert.isAbove(own.length, 1)
      const places = own.map((server) => server.replace(/^\w+:\/\//, ""))
      for (const nearest of [0, 1, 0, 1, 0, 1]) {
        const servers = [`127.0.0.1:${port}`, ...own.slice(nearest), ...own.slice(0, nearest)]
        const connection = connectNats({ servers, inOrder: true, name: "test", ...natsLogin() })
        const found = yield* Effect.scoped(Effect.map(connection, (it) => it.getServer()))
        assert.strictEqual(found, places[nearest])
      }
    })
  )

  it.live("comes back by itself after it was lost", () =>
    Effect.gen(function* () {
      const { log } = yield* Nats
      yield* Effect.promise(() => log.reconnect())
      yield* Effect.tryPromise(() => log.flush()).pipe(
        Effect.retry(Schedule.spaced("50 millis")),
        Effect.timeout("10 seconds")
      )
    }).pipe(Effect.provide(Nats.layer({ servers: natsServers(), name: "test", ...natsLogin() })))
  )

  it.live("that can't be made in time is an error that names the servers, and no secret", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const failure = yield* connectNats({
        servers: [`127.0.0.1:${port}`],
        name: "test",
        user: "parley",
        password: Redacted.make("very-secret"),
        firstConnectMs: 300
      }).pipe(Effect.scoped, Effect.flip)
      assert.strictEqual(failure._tag, "NatsUnavailable")
      assert.include(failure.message, `127.0.0.1:${port}`)
      assert.notInclude(JSON.stringify(failure) + failure.message, "very-secret")
    })
  )
})
