/** Run by PrivateNetwork.test.ts: goes inside, makes two servers in namespaces, and prints who heard whom. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { setTimeout as delay } from "node:timers/promises"
import { isInside, PrivateNetwork, runInside } from "../PrivateNetwork.ts"

const port = 9_000
const patienceMs = 1_500
const bytes = 60_000

/** Answers each connection with its name, then as many bytes as it is asked for; counts UDP packets it hears. */
const server = (name: string, host: string) => `
  const net = require("node:net"), udp = require("node:dgram").createSocket("udp4")
  let heard = 0
  udp.on("message", () => heard++).bind(${port}, "${host}")
  net.createServer((socket) => {
    socket.on("error", () => {}).on("data", (data) =>
      socket.end(String(data) === "heard" ? String(heard) : String(data) === "much" ? Buffer.alloc(${bytes}, "x") : "${name}"))
  }).listen(${port}, "${host}")`

const ask = (host: string, what: string) => `
  const socket = require("node:net").connect(${port}, "${host}", () => socket.write("${what}"))
  let got = 0, text = ""
  socket.setTimeout(${patienceMs}, () => process.exit(1))
  socket.on("error", () => process.exit(1)).on("data", (data) => { got += data.length; text = String(data) })
  socket.on("end", () => { process.stdout.write(got > 100 ? String(got) : text); process.exit(0) })`

const tell = (host: string) =>
  `const udp = require("node:dgram").createSocket("udp4"); udp.send("x", ${port}, "${host}", () => udp.close())`

const inside = async (): Promise<void> => {
  const network = PrivateNetwork.make()
  const children: Array<ChildProcess> = []
  const run = (name: string | undefined, code: string): string => {
    const [first = process.execPath, ...rest] = [
      ...(name === undefined ? [] : network.site(name).enter),
      process.execPath
    ]
    return spawnSync(first, [...rest, "-e", code], { encoding: "utf8", timeout: 20_000 }).stdout
  }
  try {
    for (const name of ["a", "b"]) {
      const { enter, host } = network.site(name)
      const [first = "", ...rest] = [...enter, process.execPath, "-e", server(name, host)]
      children.push(spawn(first, rest, { stdio: "ignore" }))
    }
    const [a, b] = [network.site("a").host, network.site("b").host]
    const answer = (host: string, name: string, from?: string) =>
      `${name} ${run(from, ask(host, "name")) === name ? "answers" : "is silent"}`
    for (const until = Date.now() + 10_000; Date.now() < until; await delay(50)) {
      if (run(undefined, ask(a, "name")) === "a" && run(undefined, ask(b, "name")) === "b") break
    }
    const whole = [answer(a, "a", "b"), answer(b, "b", "a")]
    network.cut(["a"], ["b"])
    const cut = [`${answer(a, "a", "b")} to b`, answer(a, "a"), answer(b, "b")]
    network.heal()
    network.cutOneWay("a", "b")
    run("b", tell(a))
    run("a", tell(b))
    const heard = (host: string) => Number(run(undefined, ask(host, "heard")))
    const oneWay = [heard(a) === 1 && heard(b) === 0 ? "a heard b" : `${heard(a)} and ${heard(b)}`, answer(b, "b", "a")]
    network.heal()
    const timed = (): number => {
      const before = performance.now()
      if (Number(run("b", ask(a, "much"))) !== bytes) return Infinity
      return performance.now() - before
    }
    const fast = timed()
    network.slow("a", 500)
    const slow = timed() > fast + 300
    network.heal()
    const healed = [answer(a, "a", "b"), answer(b, "b", "a")]
    process.stdout.write(JSON.stringify({ whole, cut, oneWay, slow, healed }))
  } finally {
    for (const child of children) child.kill("SIGKILL")
  }
}

if (isInside()) await inside()
else process.exitCode = await runInside([import.meta.filename])
