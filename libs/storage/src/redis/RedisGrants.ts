/**
 * What a node's user at Redis may do (ACL): the commands that Parley's scripts call, on the cluster's own keys. A script
 * runs with the rights of who calls it. `docs/security.md` has the list; a test drops each of them in turn.
 */

/** Of the connection: its name for the operator, and what the client looks at before it takes a server for ready. */
const ofConnection = ["info", "client|setname"]
const ofScripts = "evalsha eval hget hset hmget hgetall hdel pexpire del get set time zadd zcard zpopmin".split(" ")

export const redisCommands: ReadonlyArray<string> = [...ofConnection, ...ofScripts]
/** Of a worker, which notes when channels got their last messages and reads nothing; on keys below `inbox:`. */
export const redisWorkerCommands: ReadonlyArray<string> = [
  ...ofConnection,
  ..."evalsha eval hget hset hdel get set time zadd zcard zpopmin".split(" ")
]
/** Besides, in a Cluster: where which keys are. */
export const redisClusterCommands: ReadonlyArray<string> = ["cluster|slots", "cluster|info"]
/** Of a user at the Sentinels: who the master is, and to be told when it is another one. */
export const sentinelCommands: ReadonlyArray<string> = [
  "client|setname",
  "sentinel|get-master-addr-by-name",
  "sentinel|sentinels",
  "subscribe",
  "info"
]

/** Rules of `ACL SETUSER`, but for name and password. `prefix` is in front of all keys: `parley-chat:`. */
export const redisRules = (prefix: string, commands: ReadonlyArray<string> = redisCommands): ReadonlyArray<string> => [
  "resetchannels",
  "resetkeys",
  `~${prefix}*`,
  "-@all",
  ...commands.map((it) => `+${it}`)
]
