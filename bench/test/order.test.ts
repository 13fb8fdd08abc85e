import { expect, test } from "vitest"
import { Order } from "../src/load/Order.ts"

test("where acks come late, what lies behind an own place waits for it, and a hole is never passed over", () => {
  const order = new Order("u in c", 4, true)
  order.event(5, 6)
  order.event(6, 7)
  expect(order.at).toBe(4)
  expect(order.isAt(7)).toBe(false)
  order.ack(5)
  expect(order.at).toBe(7)
  expect(order.isAt(7)).toBe(true)
  order.event(8, 9)
  expect(order.isAt(9)).toBe(false)
})

test("where they don't, an event that is not the next one ends the bench", () => {
  expect(() => new Order("u in c", 4).event(5, 6)).toThrow("u in c is at 4 and got (5, 6]")
})
