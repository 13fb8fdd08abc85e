/**
 * Real conversations, replayed: every message of every conversation in its order, the next one of a conversation once
 * the one before is acknowledged, many conversations at once, each user on one connection. Each recipient is checked for
 * every message: its text, in order. Speed is real time over replayed time, conversation by conversation (their own
 * durations, not the calendar they are spread over). Beside it the same on a server that only parses and delivers.
 *
 * The file: the first argument, or PARLEY_CONVERSATIONS, or the sample in bench/data.
 */
import { limitsFire } from "./LimitsFire.ts"
import { Replay } from "./replay/Replay.ts"
import { type Conversations, conversationsFile, readConversations } from "./replay/Conversations.ts"
import { report, round, say } from "./Report.ts"
import { newDataDirectory, pinGenerator, type RunningServer, startBaseline, startParley, watchCpu } from "./Servers.ts"
import { seed } from "./seed/Seed.ts"

const speedMin = 100

const run = async (server: RunningServer, baseline: boolean, real: Conversations) => {
  const replay = await Replay.open({ port: server.port, baseline }, real)
  const cpu = watchCpu(server)
  const { conversationSeconds, seconds } = await replay.run()
  const used = cpu()
  replay.close()
  const realSeconds = real.conversations.reduce((sum, conversation) => sum + conversation.seconds, 0)
  return {
    perSecond: real.messages / seconds,
    seconds,
    speed: realSeconds / conversationSeconds,
    checked: replay.checked,
    micros: (used.serverSeconds * 1e6) / real.messages,
    generator: used.generator
  }
}

export const bench = async (args: ReadonlyArray<string>): Promise<void> => {
  pinGenerator()
  const real = readConversations(conversationsFile(args[0]))
  say(
    `${real.messages} messages of ${real.conversations.length} conversations, ${real.users} users; ${real.blank} lines without text left out`
  )
  const plainServer = await startBaseline("plain")
  const plain = await run(plainServer, true, real)
  await plainServer.stop("SIGKILL")
  const data = newDataDirectory()
  const seeded = await seed(data, {
    channels: real.conversations.map(({ id, users }) => ({
      id,
      members: users.map((user) => `u${user}`),
      messages: 0,
      senders: 2
    }))
  })
  const server = await startParley({ data })
  try {
    const ours = await run(server, false, real)
    const limits = await limitsFire("sends")
    report({
      bench: "replay",
      value: round(ours.speed),
      unit: "x real time, conversation by conversation",
      baseline: round(plain.speed),
      ratio: round(ours.speed / plain.speed, 2),
      target: `value >= ${speedMin}, every recipient checked for every message in order`,
      pass: ours.speed >= speedMin && ours.checked === real.messages && limits.fired,
      messages: real.messages,
      conversations: real.conversations.length,
      deliveries_checked: ours.checked,
      messages_per_second: Math.round(ours.perSecond),
      plain_messages_per_second: Math.round(plain.perSecond),
      seconds: round(ours.seconds),
      cpu_us_per_message: round(ours.micros),
      plain_cpu_us_per_message: round(plain.micros),
      seeded,
      generator_cpu: round(ours.generator, 2),
      limits
    })
  } finally {
    await server.stop("SIGTERM")
  }
}
