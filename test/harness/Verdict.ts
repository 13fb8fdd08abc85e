/** Ends a run: lets everything heal, asks the checker, and says in one text what a failing test has to show. */
import { check } from "../checker/check.ts"
import { type Invariant, renderViolations, type Violation } from "../checker/Violation.ts"
import type { Device } from "../wire/Device.ts"
import { heal } from "./Heal.ts"
import type { Random } from "./Random.ts"
import type { Workload } from "./Workload.ts"

export interface Verdict {
  readonly violations: ReadonlyArray<Violation>
  readonly acked: number
  readonly report: string
}

/** What is judged: one server, or the nodes of a cluster. */
export interface Judged {
  readonly url: string | undefined
  readonly output: string
  /** Of a cluster: all of them. */
  readonly servers?: ReadonlyArray<string>
}

/** For a server that should be sound. */
export const expectSound = ({ report, violations }: Verdict): void => {
  if (violations.length > 0) throw new Error(report)
}

/** For one that is known not to be. */
export const expectCaught = ({ report, violations }: Verdict, broken: Invariant): void => {
  if (!violations.some(({ invariant }) => invariant === broken))
    throw new Error(`${broken} was not found broken: ${report}`)
}

/** What each device last heard of the channels that are wrong on it, or for its user. */
const framesOf = (
  { device, lastFrames, user }: Device,
  violations: ReadonlyArray<Violation>,
  channels: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const wrong = violations
    .map(({ what }) => what)
    .filter((what) => what.includes(device) || what.startsWith(`${user}'s`))
  const words = [...channels, "session"].filter((word) => wrong.some((what) => what.includes(word)))
  return words.map((word) => `--- ${device}, ${word}:\n${lastFrames(word)}`)
}

/** The newest part of what the server printed. */
const outputShown = 3_000

export const verdict = async (
  workload: Workload,
  server: () => Judged | undefined,
  random: Random,
  settleMsMax: number
): Promise<Verdict> => {
  const url = () => server()?.url
  const servers = () => {
    const judged = server()
    return judged?.servers ?? (judged?.url === undefined ? [] : [judged.url])
  }
  const { channels, devices, owner } = workload
  const final = await heal({ url, servers, devices, channels, owner, settleMsMax })
  const violations = check(workload.recorder.facts, final)
  const { acked } = workload
  const report = [
    `seed ${random.seed}, ${acked} acks, ${workload.recorder.facts.length} facts`,
    renderViolations(violations),
    ...final.unreadable.map(({ what, why }) => `can't be read: ${what}: ${why}`),
    ...(violations.length === 0 ? [] : devices.map((device) => device.state())),
    ...devices.flatMap((device) => framesOf(device, violations, channels)),
    violations.length === 0 ? "" : `--- the server:\n${server()?.output.slice(-outputShown)}`
  ].join("\n")
  return { violations, acked, report }
}
