/** Client ids: UUIDs of version 7, ascending within this process (RFC 9562, a counter in `rand_a`). */
import { randomBytes } from "node:crypto"

const counterMax = 0xfff
let lastMs = 0
let counter = 0

/** `at`: an id of another time, which the ascending ones are not concerned by. */
export const newClientId = (at?: number): string => {
  if (at !== undefined) return idOf(at, 0)
  const now = Date.now()
  if (now > lastMs) {
    lastMs = now
    counter = 0
  } else if (counter < counterMax) {
    counter++
  } else {
    lastMs++
    counter = 0
  }
  return idOf(lastMs, counter)
}

const idOf = (ms: number, counter: number): string => {
  const time = ms.toString(16).padStart(12, "0")
  const random = randomBytes(8).toString("hex")
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, "0")}-8${random.slice(1, 4)}-${random.slice(4)}`
}
