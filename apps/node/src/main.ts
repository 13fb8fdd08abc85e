/** The `parley` command: each sub-command is a file in cli/, loaded only when it is asked for. */
const commands: Readonly<
  Record<
    string,
    { readonly about: string; readonly run: () => Promise<(args: ReadonlyArray<string>) => Promise<number>> }
  >
> = {
  serve: { about: "run a server", run: async () => (await import("./cli/Serve.ts")).serve },
  chat: {
    about: "talk in the terminal: parley chat --as NAME",
    run: async () => (await import("./cli/ChatCommand.ts")).chat
  },
  token: { about: "get a token: parley token USER", run: async () => (await import("./cli/Token.ts")).token },
  replay: {
    about: "play recorded conversations through a server and check every delivery: parley replay FILE",
    run: async () => (await import("./cli/replay/Replay.ts")).replay
  },
  inspect: {
    about: "show an entity: parley inspect channel|session|presence ID",
    run: async () => (await import("./cli/InspectCommand.ts")).inspectCommand
  },
  parked: {
    about: "show events that could not be stored, try them again, give them up: parley parked [list|retry|drop]",
    run: async () => (await import("./cli/ParkedCommand.ts")).parkedCommand
  },
  cluster: {
    about:
      "show a cluster, drain a node, even shards out: parley cluster [status|drain|undrain|rebalance|cordon|uncordon|move|release]",
    run: async () => (await import("./cli/ClusterCommand.ts")).clusterCommand
  },
  migrate: {
    about: "move a data directory into a cluster: parley migrate --data DIR --cluster NAME …",
    run: async () => (await import("./cli/MigrateCommand.ts")).migrateCommand
  },
  "nats-users": {
    about: "make the users of a cluster's nodes at NATS: parley nats-users --cluster NAME --runners A,B --keys DIR",
    run: async () => (await import("./cli/NatsUsersCommand.ts")).natsUsersCommand
  },
  doctor: {
    about: "check a data directory and the machine: parley doctor --data DIR",
    run: async () => (await import("./cli/Doctor.ts")).doctor
  }
}

const usage = () => {
  const lines = Object.entries(commands).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  return `usage: parley COMMAND [options]\n\n${lines.join("\n")}\n`
}

const [name = "", ...args] = process.argv.slice(2)
const command = commands[name]
if (command === undefined) {
  const asked = name === "" || name === "help" || name === "--help"
  ;(asked ? process.stdout : process.stderr).write(asked ? usage() : `parley: unknown command ${name}\n\n${usage()}`)
  process.exitCode = asked ? 0 : 2
} else {
  process.exitCode = await (await command.run())(args)
}
