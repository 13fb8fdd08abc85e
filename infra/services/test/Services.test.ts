/** Real NATS and Redis, started and ended as people and tests do it. */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it, vi } from "vitest"
import { run } from "../Command.ts"
import { endServices } from "../Ending.ts"
import { natsServerConfigText } from "../NatsServerConfig.ts"
import { type Launch, runningMark } from "../Process.ts"
import { binaryProgram } from "../Program.ts"
import { natsAnswers, redisAnswers } from "../Readiness.ts"
import { redis } from "../Redis.ts"
import { startNodes } from "../Service.ts"
import { startServices } from "../Services.ts"
import { readState, StateWriter } from "../State.ts"
import { statusOf } from "../Status.ts"

const folder = mkdtempSync(join(tmpdir(), "parley-services-test-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// The first run on a machine installs what it needs.
vi.setConfig({ testTimeout: 180_000 })

const main = join(import.meta.dirname, "../main.ts")

/** Without what a person has set for his own services. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^PARLEY_(NATS|CASSANDRA|REDIS)/.test(name))
)

const command = (...args: ReadonlyArray<string>) =>
  run(process.execPath, [main, ...args], { msMax: 300_000, environment })

/** Everything that still runs of what was started in a directory. */
const left = async (launches: ReadonlyArray<Launch>, data: string): Promise<ReadonlyArray<string>> => {
  const { output } = await run("ps", ["-eo", "args"], { msMax: 10_000 })
  const named = output.split("\n").filter((line) => line.includes(data) && !line.startsWith("ps "))
  return [...launches.map((launch) => launch.pidFile).filter((file) => runningMark(file) !== undefined), ...named]
}

it(
  "up starts three NATS servers and Redis, status shows them, down leaves nothing running",
  { timeout: 300_000 },
  async () => {
    const data = join(folder, "whole")
    const up = await command("up", "nats", "redis", "--data", data)
    try {
      expect(up.output).toMatch(/^export PARLEY_NATS='nats:\/\/127\.0\.0\.1:\d+,nats:\S+,nats:\S+'$/m)
      expect(up.output).toMatch(/^export PARLEY_REDIS='redis:\/\/127\.0\.0\.1:\d+'$/m)
      const state = readState(data)
      const launches = state?.nodes.map((node) => node.launch) ?? []
      expect(await statusOf(state, ["nats", "redis"])).toMatchObject({ allReady: true, lines: { length: 4 } })
      // Again: it finds what runs, at the same addresses.
      expect((await command("up", "nats", "redis", "--data", data)).output).toBe(up.output)
      // The newest lines of each: which these are is the server's business.
      expect((await command("logs", "nats", "--data", data)).output).toMatch(/== nats-1: .+\n(.*\n)*?.*\[INF\]/)

      const down = await command("down", "--data", data)
      expect(down.errors).toContain("nats-3 has ended")
      expect(await left(launches, data)).toEqual([])
      expect((await statusOf(readState(data), ["nats", "redis"])).lines.join()).toMatch(
        /nats +not started.*redis +not started/
      )
      await expect(command("status", "--data", data)).rejects.toThrow("ended with 1")
    } finally {
      await endServices(data, { now: true })
    }
  }
)

it("two sets side by side have ports of their own, and the end of one is not that of the other", async () => {
  const [one, two] = await Promise.all(
    ["one", "two"].map((name) => startServices({ data: join(folder, name), redis: true, temporary: true, environment }))
  )
  await using first = one!
  await using second = two!
  expect(first.state.redisUrl).not.toBe(second.state.redisUrl)
  await first.stop()
  expect(await statusOf(readState(second.data), ["redis"])).toMatchObject({ allReady: true })
  expect(existsSync(first.data)).toBe(false)
})

it(
  "a node can be killed, stopped and started again where it was, paused and resumed",
  { timeout: 300_000 },
  async () => {
    await using services = await startServices({ data: join(folder, "nodes"), nats: {}, temporary: true, environment })
    const status = async () => (await statusOf(services.state, ["nats"])).lines.map((line) => line.slice(32, 46).trim())
    const [, second] = services.state.nodes
    await services.killNode("nats-2")
    expect(await status()).toEqual(["ready", "not running", "ready"])
    await services.startNode("nats-2")
    await vi.waitFor(async () => expect(await status()).toEqual(["ready", "ready", "ready"]), { timeout: 20_000 })
    expect(await natsAnswers(second!.host, second!.ports.client, "nats-2")).toBe(true)
    services.pause("nats-3")
    await vi.waitFor(async () => expect((await status())[2]).toBe("paused"), { timeout: 20_000 })
    services.resume("nats-3")
    await services.stopNode("nats-1")
    expect((await status())[0]).toBe("not running")
    await expect(services.killNode("nats-9")).rejects.toThrow("There is no node nats-9")
  }
)

it("nats-server reads a configuration with nkeys and permissions", async () => {
  await using services = await startServices({
    data: join(folder, "config"),
    nats: { nodes: 1 },
    temporary: true,
    environment
  })
  const file = join(services.data, "secure.conf")
  const permissions = { publish: { allow: ["parley.>"], deny: ["$SYS.>"] }, allowResponses: true }
  const nkey = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
  writeFileSync(
    file,
    natsServerConfigText({
      serverName: 'a"name',
      host: "127.0.0.1",
      port: 4_222,
      monitor: { host: "127.0.0.1", port: 8_222 },
      maxPayloadBytes: 1_000,
      jetStream: { storeFolder: "/data/a b\\c", memoryBytesMax: 1, fileBytesMax: 1, syncInterval: "always" },
      accounts: [{ name: "PARLEY", jetStream: true, users: [{ nkey, permissions }] }],
      systemAccount: "SYS"
    })
  )
  // It ends with another code than 0 where it can't read it.
  await run(services.state.nodes[0]?.launch.command ?? "", ["-t", "-c", file], { msMax: 10_000 })
})

it("services end with the program that started them, even if it is killed", async () => {
  const data = join(folder, "owned")
  const owner = spawn(process.execPath, [join(import.meta.dirname, "OwningProgram.ts"), data], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"]
  })
  let output = ""
  owner.stdout.on("data", (chunk) => (output += chunk))
  await vi.waitFor(() => expect(output).toContain("\n"), { timeout: 20_000 })
  // as: the program prints just that.
  const launch = JSON.parse(output) as Launch
  expect(runningMark(launch.pidFile)).toBeDefined()
  owner.kill("SIGKILL")
  await vi.waitFor(async () => expect(await left([launch], data)).toEqual([]), { timeout: 20_000 })
  await vi.waitFor(() => expect(existsSync(data)).toBe(false), { timeout: 20_000 })
})

it("a start that finds services of somebody else uses them, and does not end them", async () => {
  const data = join(folder, "shared")
  await using first = await startServices({ data, redis: true, temporary: true, environment })
  const second = await startServices({ data, redis: true, nats: { nodes: 1 }, environment })
  expect(second.state.redisUrl).toBe(first.state.redisUrl)
  await second.stop()
  expect((await statusOf(readState(data), ["redis", "nats"])).lines.join()).toMatch(/ready.*nats +not started/)
})

it("a port that somebody takes between choice and start is no failure: others are chosen", async () => {
  await using known = await startServices({ data: join(folder, "known"), redis: true, temporary: true, environment })
  const program = binaryProgram("redis-server", known.state.nodes[0]?.launch.command ?? "", "binary")
  const data = join(folder, "raced")
  const thief = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve))
  // as: it listens on a port, not on a path.
  const { port: taken } = thief.address() as AddressInfo
  const ports: Array<number> = []
  await StateWriter.with(data, async (writer) => {
    const context = { writer, environment, cache: folder, owner: undefined, say: () => undefined }
    await startNodes(context, {
      service: redis,
      program,
      hosts: ["127.0.0.1"],
      portNames: ["client"],
      prepare: ({ ports: { client } }) => {
        const isFirst = ports.push(client) === 1
        return ["--bind", "127.0.0.1", "--port", String(isFirst ? taken : client), "--save", ""]
      },
      addresses: () => ({})
    })
  })
  const answers = await redisAnswers("127.0.0.1", ports[1] ?? 0)
  await endServices(data)
  thief.close()
  expect([ports.length, answers]).toEqual([2, true])
})

it("an address in the environment is used as it is, and left alone at the end", async () => {
  await using own = await startServices({ data: join(folder, "own"), redis: true, temporary: true, environment })
  const redisUrl = own.state.redisUrl ?? ""
  const given = { ...environment, PARLEY_REDIS: redisUrl }
  const services = await startServices({ data: join(folder, "given"), redis: true, environment: given })
  expect(services.state).toMatchObject({ redisUrl, nodes: [], origins: { redis: "environment" } })
  await services.stop()
  expect(await redisAnswers("127.0.0.1", Number(new URL(redisUrl).port))).toBe(true)
})

it("an address in the environment where nothing answers is an error that names the variable", async () => {
  const start = (variables: NodeJS.ProcessEnv) =>
    startServices({ data: join(folder, "dead"), nats: {}, redis: true, temporary: true, environment: variables })
  const error = await start({ ...environment, PARLEY_NATS: "nats://127.0.0.1:1", PARLEY_REDIS: "127.0.0.1:1" }).catch(
    String
  )
  expect(error).toContain("which PARLEY_NATS names")
  expect(error).toContain("which PARLEY_REDIS names")
})

it("where nothing can be had it says what was tried and what to do, and nothing runs", async () => {
  const bare = { PATH: "", PARLEY_SERVICES_CACHE: join(folder, "empty-cache") }
  const options = { data: join(folder, "bare"), nats: {}, cassandra: {}, temporary: true, environment: bare }
  const error = await startServices(options).catch(String)
  expect(error).toMatch(/NATS can't be had here: .*no pip on PATH.* Put nats-server 2\.15\.1 or later on PATH/)
  expect(error).toMatch(/Cassandra can't be had here: .* Put Java 17 on PATH/)
  expect(existsSync(options.data)).toBe(false)
})

it("data of three servers is not started as one", async () => {
  const data = join(folder, "count")
  const services = await startServices({ data, nats: {}, environment })
  await services.stop()
  await expect(startServices({ data, nats: { nodes: 1 }, environment })).rejects.toThrow("is that of 3 nodes, not 1")
})
