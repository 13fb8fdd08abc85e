/**
 * The subjects of core NATS that calls, links and hints go over, all below one prefix. Names in them are those of nodes,
 * runners, edges and processes, which the cluster itself makes up; no id of a user or channel ever becomes part of a
 * subject. What is meant for one node alone has the node's name as a token of its own, so that no other node's user need
 * be let to it (`BusGrants`).
 *
 * | subject | published by | read by |
 * |---|---|---|
 * | `<prefix>.run.<runner>` | edges, consumers | the runner: calls, many in a message |
 * | `<prefix>.entities.<runner>` | edges, runners | the runner: inspection, what else is not hot |
 * | `<prefix>.in.<node>.…` | runners, and the server where nobody listens | the node that asked; JetStream's answers, too |
 * | `<prefix>.in.<node>.<process>.<runner>` | the runner | … calls |
 * | `<prefix>.in.<node>.<session>` | the runner | … entities |
 * | `<prefix>.in.<node>.parked.<wish>` | runners, workers | … an operator's wish about parked events |
 * | `<prefix>.work.<runner>`, `<prefix>.work.<node>.<start>` | edges, runners | the runner, the worker: such wishes |
 * | `<prefix>.edge.<node>.<start>` | runners | the edge |
 * | `<prefix>.edge.<node>.<start>-wish` | runners | the edge: an operator's wish |
 * | `<prefix>.edges` | edges | edges |
 * | `<prefix>.loads` | runners | everybody who asks |
 * | `<prefix>.owned` | runners | everybody who asks |
 * | `<prefix>.hint` | runners, consumers | runners, consumers |
 */

/** What a subject may begin with. */
const prefixes = /^[\w-]+(?:\.[\w-]+)*$/

export interface Subjects {
  readonly owned: string
  readonly hint: string
  readonly edges: string
  readonly loads: string
  run(runner: string): string
  entities(runner: string): string
  /** What all answers to a node come below; a connection's `inboxPrefix`. */
  answersTo(node: string): string
  /** All that a process's calls are answered. */
  inbox(node: string, process: string): string
  /** Where a process wants a runner's answers to calls. */
  answers(node: string, process: string, runner: string): string
  /** Where one session with a runner's entities is answered. */
  session(node: string, session: string): string
  /** Where a node wants an operator's wish answered that it passed on. */
  parked(node: string, wish: string): string
  /** Wishes for a process with consumers: a runner's name, or a worker's, of `workerName`. */
  work(worker: string): string
  /** All that a node's workers are asked. */
  workOf(node: string): string
  /** By the edge's name, of `edgeName`. */
  edge(edge: string): string
  /** What operators want of an edge; among those that its node may hear. */
  edgeWish(edge: string): string
  /** All links that a node's edges may have. */
  edgesOf(node: string): string
}

/** An edge's name: new with each start of its node, and saying which node it is of. */
export const edgeName = (node: string, start: string): string => `${node}/${start}`

/** A worker's name, as a key of the lease bucket ends with and a subject: new with each start, a part of it the node's. */
export const workerName = (node: string, start: string): string =>
  `${token(node)}.${start === "*" ? start : token(start)}`

export const subjectsOf = (prefix: string): Subjects => {
  if (!prefixes.test(prefix))
    throw new Error(`no prefix of NATS subjects: "${prefix}" (letters, digits, "-", "_", ".")`)
  return {
    owned: `${prefix}.owned`,
    hint: `${prefix}.hint`,
    edges: `${prefix}.edges`,
    loads: `${prefix}.loads`,
    run: (runner) => `${prefix}.run.${token(runner)}`,
    entities: (runner) => `${prefix}.entities.${token(runner)}`,
    answersTo: (node) => `${prefix}.in.${token(node)}`,
    inbox: (node, process) => `${prefix}.in.${token(node)}.${token(process)}.*`,
    answers: (node, process, runner) => `${prefix}.in.${token(node)}.${token(process)}.${token(runner)}`,
    session: (node, session) => `${prefix}.in.${token(node)}.${token(session)}`,
    parked: (node, wish) => `${prefix}.in.${token(node)}.parked.${token(wish)}`,
    work: (worker) => `${prefix}.work.${worker}`,
    workOf: (node) => `${prefix}.work.${token(node)}.*`,
    edge: (edge) => `${prefix}.edge.${edgeTokens(edge)}`,
    edgeWish: (edge) => `${prefix}.edge.${edgeTokens(edge)}-wish`,
    edgesOf: (node) => `${prefix}.edge.${token(node)}.*`
  }
}

const edgeTokens = (edge: string): string => {
  const slash = edge.lastIndexOf("/")
  return slash < 0 ? token(edge) : `${token(edge.slice(0, slash))}.${token(edge.slice(slash + 1))}`
}

/** Host names have dots, and a dot, a star or a space means something in a subject. Different names stay different. */
const token = (name: string): string =>
  name === ""
    ? "="
    : name.replaceAll(/[^A-Za-z0-9_-]/gu, (char) => `=${char.codePointAt(0)?.toString(16).padStart(6, "0")}`)
