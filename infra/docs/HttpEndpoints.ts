/** The endpoints of the HTTP API in the order they are declared, for tables and documents. */
import { ParleyApi } from "@parley/protocol/HttpApi"
import { Context, Schema } from "effect"
import { HttpApi, type HttpApiEndpoint, OpenApi } from "effect/http-api"

export interface Endpoint {
  /** `group.endpoint`: also the operation's id, and the name of its example. */
  readonly name: string
  readonly method: string
  readonly path: string
  readonly summary: string
  /** The fields of path and query as handlers see them: numbers are numbers. */
  readonly params: Schema.Top | undefined
  readonly query: Schema.Top | undefined
}

// as: what parameters are decoded to; their types are of no interest here
const decoded = (schema: Schema.Top | undefined) =>
  schema === undefined ? undefined : (Schema.toType(schema) as Schema.Top)

const describe = (group: string, endpoint: HttpApiEndpoint.Top): Endpoint => ({
  name: `${group}.${endpoint.identifier}`,
  method: endpoint.method,
  path: endpoint.path,
  summary: Context.getOrElse(endpoint.annotations, OpenApi.Summary, () => ""),
  params: decoded(endpoint.params),
  query: decoded(endpoint.query)
})

const collect = (): ReadonlyArray<Endpoint> => {
  const found: Array<Endpoint> = []
  HttpApi.reflect(ParleyApi, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, group }) => void found.push(describe(group.identifier, endpoint))
  })
  return found
}

export const endpoints = collect()
