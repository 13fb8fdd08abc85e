import { expect, it } from "vitest"
import { type NatsServerConfig, natsServerConfigText } from "../NatsServerConfig.ts"

const config: NatsServerConfig = {
  serverName: "nats-1",
  host: "127.0.0.1",
  port: 20_001,
  monitor: { host: "127.0.0.1", port: 20_002 },
  maxPayloadBytes: 1_048_576,
  jetStream: {
    storeFolder: "/data/with space",
    memoryBytesMax: 1_000,
    fileBytesMax: 2_000,
    syncInterval: "2m"
  },
  accounts: [{ name: "PARLEY", jetStream: true, users: [{ user: "parley", password: "$secret" }] }],
  systemAccount: "SYS"
}

const lineOf = (text: string, key: string) =>
  text
    .split("\n")
    .find((line) => line.trim().startsWith(key))
    ?.trim()

it("quotes what nats-server would take for a number or a variable", () => {
  const text = natsServerConfigText(config)
  expect(lineOf(text, '"sync_interval"')).toBe('"sync_interval": "2m"')
  expect(text).toContain('"password": "$secret"')
  expect(text).toContain('"store_dir": "/data/with space"')
})

it("leaves out what is not asked for: a single server has no cluster, and no TLS", () => {
  const text = natsServerConfigText(config)
  expect(lineOf(text, "cluster")).toBeUndefined()
  expect(lineOf(text, "tls")).toBeUndefined()
  expect(text).not.toContain("undefined")
})

it("has TLS, nkeys and permissions by subject", () => {
  const tls = { certificateFile: "/c.pem", keyFile: "/k.pem", authorityFile: "/ca.pem", verify: true }
  const permissions = { publish: { allow: ["parley.>"] }, subscribe: { deny: ["$SYS.>"] }, allowResponses: true }
  const text = natsServerConfigText({
    ...config,
    tls,
    accounts: [{ name: "PARLEY", jetStream: true, users: [{ nkey: "UABC", permissions }] }]
  })
  expect(text.replaceAll(/\s+/g, "")).toContain(
    '{"nkey":"UABC","permissions":{"publish":{"allow":["parley.>"]},"subscribe":{"deny":["$SYS.>"]},"allow_responses":true}}'
  )
  expect(text.replaceAll(/\s+/g, "")).toContain('"ca_file":"/ca.pem","verify":true')
})

it("refuses a control character, which the server reads otherwise", () => {
  expect(() => natsServerConfigText({ ...config, serverName: "a\u0001" })).toThrow("control character")
  expect(natsServerConfigText({ ...config, serverName: "C:\\banana" })).toContain("C:\\\\banana")
})
