/** `parley nats-users`: keys that stay, a configuration without secrets, and what it refuses. That it works: Roles.test.ts. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { natsServerConfigText } from "../../../../infra/services/NatsServerConfig.ts"
import { makeNatsUsers, natsAccountsText, type NatsUsersOptions } from "../../src/cli/NatsUsers.ts"

let keys: string
beforeEach(() => {
  keys = mkdtempSync(join(tmpdir(), "parley-keys-"))
})
afterEach(() => rmSync(keys, { recursive: true }))

const users = (over: Partial<NatsUsersOptions> = {}) =>
  makeNatsUsers({ cluster: "chat", runners: ["r1"], edges: ["e1"], streams: 4, keys, ...over })

describe("users at NATS", () => {
  it("are a key a node and one for the system account, in files that nobody else reads", () => {
    const { made, nodes, system } = users()
    expect(made.map((file) => file.slice(keys.length + 1))).toEqual(["r1.nk", "e1.nk", "system.nk"])
    for (const name of readdirSync(keys)) expect(statSync(join(keys, name)).mode & 0o777).toBe(0o600)
    expect(new Set([...nodes, system].map(({ nkey }) => nkey)).size).toBe(3)
  })

  it("keep their keys when nodes are added, and get a new one when its file was removed", () => {
    const before = users()
    const more = users({ edges: ["e1", "e2"] })
    expect(more.made).toEqual([join(keys, "e2.nk")])
    expect(more.nodes.slice(0, 2)).toEqual(before.nodes)
    rmSync(join(keys, "e1.nk"))
    const rotated = users()
    expect(rotated.made).toEqual([join(keys, "e1.nk")])
    expect(rotated.nodes[1]?.nkey).not.toBe(before.nodes[1]?.nkey)
  })

  it("of workers write to their own heartbeat and to positions, and to no other part of the log", () => {
    const { publish } = users({ workers: ["w1"] }).nodes.at(-1)?.permissions ?? {}
    const written = publish?.allow.filter((subject) => !subject.startsWith("$JS.")) ?? []
    expect(written.toSorted()).toEqual([
      "$KV.parley-chat-leases.worker.w1.*",
      "$KV.parley-chat-positions.>",
      "parley-chat.hint",
      "parley-chat.in.*.parked.*",
      "parley-chat.run.*"
    ])
  })

  it("are the configuration of nats-server as it is written elsewhere, and no secret is in it", () => {
    const made = users()
    const text = natsAccountsText(made)
    for (const name of readdirSync(keys)) expect(text).not.toContain(readFileSync(join(keys, name), "utf8"))
    const withoutName = made.nodes.map(({ nkey, permissions }) => ({ nkey, permissions }))
    const system = { nkey: made.system.nkey, permissions: made.system.permissions }
    const whole = natsServerConfigText({
      serverName: "n1",
      host: "127.0.0.1",
      port: 1,
      monitor: { host: "127.0.0.1", port: 2 },
      maxPayloadBytes: 1,
      jetStream: { storeFolder: "/d", memoryBytesMax: 1, fileBytesMax: 1, syncInterval: "always" },
      accounts: [
        { name: "PARLEY", jetStream: true, users: withoutName },
        { name: "SYS", jetStream: false, users: [system] }
      ],
      systemAccount: "SYS"
    })
    expect(whole.endsWith(text)).toBe(true)
  })

  it("are refused where they make no cluster, before anything is written", () => {
    const wrong: ReadonlyArray<readonly [Partial<NatsUsersOptions>, RegExp]> = [
      [{ cluster: "a.b" }, /--cluster/],
      [{ runners: [] }, /--runners/],
      [{ edges: ["../e1"] }, /can't name a node/],
      [{ edges: ["system"] }, /can't name a node/],
      [{ edges: ["r1"] }, /r1 is named twice/]
    ]
    for (const [options, why] of wrong) expect(() => users(options)).toThrow(why)
    expect(readdirSync(keys)).toEqual([])
    writeFileSync(join(keys, "r1.nk"), "not a seed")
    expect(() => users()).toThrow(/r1.nk has no seed/)
  })
})
