/** Waits for a condition, with a bound and a sentence for when it does not come. */
import { setTimeout as delay } from "node:timers/promises"

export const waitMsMax = 15_000
const pollMs = 10

export const until = async (
  what: string,
  holds: () => boolean,
  context: () => string = () => "",
  withinMs = waitMsMax
): Promise<void> => {
  for (const end = Date.now() + withinMs; !holds(); await delay(pollMs)) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}\n${context()}`)
  }
}
