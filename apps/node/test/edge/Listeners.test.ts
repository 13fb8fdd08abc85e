/** Servers on one port: the kernel shares the connections out, and who ends leaves them to the others. */
import { assert, describe, it } from "@effect/vitest"
import { createServer, type Server } from "node:http"
import { connect } from "node:net"
import { Effect, Exit, Scope } from "effect"
import { listen } from "../../src/edge/Listeners.ts"

const host = "127.0.0.1"
const connectionsMax = 400

const counting = () => {
  let connections = 0
  const server = createServer()
  server.on("connection", (socket) => {
    connections++
    socket.on("error", () => {})
    socket.end()
  })
  return { server, connections: () => connections }
}

/** Opened, and closed by the server. */
const touch = (port: number): Effect.Effect<void, Error> =>
  Effect.callback((resume) => {
    const socket = connect({ host, port })
    socket.once("error", (error) => resume(Effect.fail(error)))
    socket.once("close", () => resume(Effect.void))
    socket.resume()
  })

const listening = (server: Server, port: number, sharePort: boolean) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const listener = yield* listen(server, { host, port, sharePort }).pipe(Scope.provide(scope))
    return { ...listener, end: Scope.close(scope, Exit.void) }
  })

describe("several nodes on one port", () => {
  it.live("share its connections, and one that ends leaves them to the other", () =>
    Effect.gen(function* () {
      const one = counting()
      const two = counting()
      const first = yield* listening(one.server, 0, true)
      const second = yield* listening(two.server, first.port, true)
      assert.strictEqual(second.port, first.port)
      for (let tried = 0; one.connections() === 0 || two.connections() === 0; tried++) {
        if (tried === connectionsMax) assert.fail(`${one.connections()} and ${two.connections()} connections`)
        yield* touch(first.port)
      }
      yield* first.end
      const before = [one.connections(), two.connections()] as const
      for (let tried = 0; tried < 20; tried++) yield* touch(first.port)
      assert.deepStrictEqual([one.connections(), two.connections()], [before[0], before[1] + 20])
      yield* second.end
    })
  )

  it.live("leave it without ending, and come back", () =>
    Effect.gen(function* () {
      const one = counting()
      const two = counting()
      const first = yield* listening(one.server, 0, true)
      const second = yield* listening(two.server, first.port, true)
      first.leave()
      for (let tried = 0; tried < 20; tried++) yield* touch(first.port)
      assert.deepStrictEqual([one.connections(), two.connections()], [0, 20])
      // Said twice, as a wish may be.
      first.comeBack()
      first.comeBack()
      for (let tried = 0; one.connections() === 0; tried++) {
        if (tried === connectionsMax) assert.fail("it never got one again")
        yield* touch(first.port)
      }
      yield* first.end
      yield* second.end
    })
  )

  it.live("are told so: one that was not finds the port taken", () =>
    Effect.gen(function* () {
      const first = yield* listening(createServer(), 0, true)
      const refused = yield* Effect.flip(listening(createServer(), first.port, false))
      assert.match(refused.message, /can't listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/)
      yield* first.end
      const alone = yield* listening(createServer(), 0, false)
      const other = yield* Effect.exit(listening(createServer(), alone.port, false))
      assert.isTrue(Exit.isFailure(other))
      yield* alone.end
    })
  )
})
