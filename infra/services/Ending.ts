/** Ends services that run in a data directory: those of its state and no others. Their data stays. */
import { cassandra } from "./Cassandra.ts"
import { nats } from "./Nats.ts"
import { kill, stop } from "./Process.ts"
import { redis } from "./Redis.ts"
import { removeNodes, type Service } from "./Service.ts"
import { readState, type ServiceName, serviceNames, StateWriter } from "./State.ts"

export const services: Readonly<Record<ServiceName, Service>> = { nats, cassandra, redis }

export interface EndOptions {
  readonly names?: ReadonlyArray<ServiceName>
  /** Those of one start. */
  readonly owner?: string
  /** Without asking first: for data that nobody wants any more. */
  readonly now?: boolean
  readonly say?: (line: string) => void
}

export const endServices = async (data: string, options: EndOptions = {}): Promise<void> => {
  if (readState(data) === undefined) return
  await StateWriter.with(data, (writer) => endNodes(writer, options))
}

export const endNodes = async (writer: StateWriter, options: EndOptions): Promise<void> => {
  const { names = serviceNames, now = false, owner, say = () => undefined } = options
  await Promise.all(
    names.map(async (name) => {
      const nodes = writer.state.nodes.filter(
        (node) => node.service === name && (owner === undefined || node.owner === owner)
      )
      await Promise.all(
        nodes.map(async ({ launch, name: node }) => {
          const forced = now ? await kill(launch) : await stop(launch, services[name].stopMsMax)
          say(forced === true ? `${node} did not end by itself and was killed` : `${node} has ended`)
        })
      )
      if (nodes.length > 0 || owner === undefined) removeNodes(writer, name)
    })
  )
}
