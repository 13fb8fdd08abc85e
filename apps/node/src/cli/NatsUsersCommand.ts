/**
 * `parley nats-users`: makes the nkeys of a cluster's nodes and prints the accounts for nats-server's configuration. To
 * add a node, name it with the others; to change a key, remove its file first.
 */
import { parseFlags, unknownFlag } from "./Flags.ts"
import { makeNatsUsers, natsAccountsText, NatsUsersRefused, seedFile } from "./NatsUsers.ts"

const usage =
  "usage: parley nats-users --cluster NAME --runners NODE,… [--edges NODE,…] [--workers NODE,…] [--streams 4] --keys DIR > accounts.conf"

const namesIn = (list: string | undefined): ReadonlyArray<string> =>
  (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")

export const natsUsersCommand = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const wrong = unknownFlag(flags, ["cluster", "runners", "edges", "workers", "streams", "keys"])
  const { cluster = "", keys = "", streams = "4" } = flags
  if (wrong !== undefined || rest.length > 0 || cluster === "" || keys === "" || !/^[1-9]\d?$/.test(streams)) {
    say(wrong === undefined ? usage : `parley nats-users: ${wrong}`)
    return 2
  }
  const [runners, edges, workers] = [namesIn(flags["runners"]), namesIn(flags["edges"]), namesIn(flags["workers"])]
  try {
    const users = makeNatsUsers({ cluster, runners, edges, workers, streams: Number(streams), keys })
    process.stdout.write(natsAccountsText(users))
    for (const file of users.made) say(`made ${file}`)
    say(`each node gets its own: --name NODE --nats-nkey-seed ${seedFile(keys, "NODE")}`)
    say(`those that run shards also: --nats-system-nkey-seed ${seedFile(keys, users.system.name)}`)
    return 0
  } catch (error) {
    if (!(error instanceof NatsUsersRefused) && !(error instanceof Error && "code" in error)) throw error
    say(`parley nats-users: ${error.message}`)
    return 1
  }
}
