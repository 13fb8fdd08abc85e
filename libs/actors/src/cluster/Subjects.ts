/**
 * The subjects of core NATS that calls, links and hints go over, all below one prefix. Names in them are those of runners,
 * edges and processes, which the cluster itself makes up; no id of a user or channel ever becomes part of a subject.
 *
 * | subject | published by | read by |
 * |---|---|---|
 * | `<prefix>.run.<runner>` | edges, consumers | the runner |
 * | `<prefix>.in.<process>.<runner>` | the runner, and the server where nobody listens | the process that asked |
 * | `<prefix>.edge.<edge>` | runners | the edge |
 * | `<prefix>.owned` | runners | everybody who asks |
 * | `<prefix>.hint` | runners, consumers | runners, consumers |
 */

/** What a subject may begin with. */
const prefixes = /^[\w-]+(?:\.[\w-]+)*$/

export interface Subjects {
  readonly owned: string
  readonly hint: string
  run(runner: string): string
  /** All that is answered to a process. */
  inbox(process: string): string
  /** Where a process wants a runner's answers. */
  answers(process: string, runner: string): string
  edge(edge: string): string
}

export const subjectsOf = (prefix: string): Subjects => {
  if (!prefixes.test(prefix))
    throw new Error(`no prefix of NATS subjects: "${prefix}" (letters, digits, "-", "_", ".")`)
  return {
    owned: `${prefix}.owned`,
    hint: `${prefix}.hint`,
    run: (runner) => `${prefix}.run.${token(runner)}`,
    inbox: (process) => `${prefix}.in.${token(process)}.*`,
    answers: (process, runner) => `${prefix}.in.${token(process)}.${token(runner)}`,
    edge: (edge) => `${prefix}.edge.${token(edge)}`
  }
}

/** Host names have dots, and a dot, a star or a space means something in a subject. Different names stay different. */
const token = (name: string): string =>
  name === ""
    ? "="
    : name.replaceAll(/[^A-Za-z0-9_-]/gu, (char) => `=${char.codePointAt(0)?.toString(16).padStart(6, "0")}`)
