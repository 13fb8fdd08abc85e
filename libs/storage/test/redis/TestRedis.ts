/** Keys of a test's own in the Redis that tests share, removed when the test's layer ends. */
import { Effect, Layer, Redacted } from "effect"
import { Redis as Client } from "ioredis"
import { randomBytes } from "node:crypto"
import { Redis } from "../../src/redis/Redis.ts"
import { redisUrl } from "../Services.ts"

const removeKeys = async (url: string, prefix: string): Promise<void> => {
  const client = new Client(url)
  try {
    for await (const keys of client.scanStream({ match: `${prefix}*`, count: 1_000 })) {
      if (Array.isArray(keys) && keys.length > 0) await client.unlink(keys.map(String))
    }
  } finally {
    client.disconnect()
  }
}

export const layerShared = Layer.unwrap(
  Effect.gen(function* () {
    const url = yield* Effect.promise(redisUrl)
    const keyPrefix = `parley-test-${randomBytes(6).toString("hex")}:`
    yield* Effect.addFinalizer(() => Effect.promise(() => removeKeys(url, keyPrefix)))
    return Redis.layer({ addresses: [Redacted.make(url)], keyPrefix })
  })
)

export const layerOf = (url: string) => Redis.layer({ addresses: [Redacted.make(url)] })
