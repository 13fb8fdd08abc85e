import { createServer } from "node:net"
import { expect, it } from "vitest"
import { choosePorts, isFree } from "../Ports.ts"

const host = "127.0.0.1"

const taken = async (port: number, use: () => Promise<void>): Promise<void> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  await use()
  await new Promise((resolve) => server.close(resolve))
}

it("each name has a port of its own, below those of outgoing connections", async () => {
  const names = Array.from({ length: 50 }, (_, index) => `port-${index}`)
  const ports = Object.values(await choosePorts(names, [host]))
  expect(new Set(ports).size).toBe(50)
  expect(Math.max(...ports)).toBeLessThan(32_768)
})

it("takes the ports of the time before, but for those that somebody else has now", async () => {
  const before = await choosePorts(["one", "two"], [host])
  await taken(before["one"] ?? 0, async () => {
    const now = await choosePorts(["one", "two"], [host], before)
    expect(now["two"]).toBe(before["two"])
    expect(now["one"]).not.toBe(before["one"])
  })
  expect(await choosePorts(["one", "two"], [host], before)).toEqual(before)
})

it("two names never share a port, even if they did before", async () => {
  const { one = 0 } = await choosePorts(["one"], [host])
  const ports = await choosePorts(["one", "two"], [host], { one, two: one })
  expect(ports["one"]).toBe(one)
  expect(ports["two"]).not.toBe(one)
})

it("a port is free when it is free on all hosts", async () => {
  const { one = 0 } = await choosePorts(["one"], [host, "127.0.0.2"])
  await taken(one, async () => {
    expect(await isFree(one, ["127.0.0.2"])).toBe(true)
    expect(await isFree(one, ["127.0.0.2", host])).toBe(false)
  })
})

it("an address that is not this machine's is named", async () => {
  await expect(choosePorts(["one"], ["192.0.2.1"])).rejects.toThrow("on 192.0.2.1")
})
