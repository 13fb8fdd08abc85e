/**
 * Which edge to connect to: asked of any node before the first connection, when a server says to move, and when the ones
 * that were named can't be reached (`GET /v1/edges`). Where nobody answers that, or names none, it is the address that the
 * application gave: one server, or a load balancer that chooses by itself.
 */
import type { ClientSettings } from "./ClientSettings.ts"
import type { Environment } from "./Environment.ts"
import { socketUrl } from "./SocketAddress.ts"

export class Edges {
  readonly #address: string
  readonly #zone: string
  readonly #environment: Environment
  readonly #settings: ClientSettings
  /** Named and not tried yet; the first one is the one in use. */
  #next: ReadonlyArray<string> = []
  /** Named last: they answer as well as the application's address does, should that be gone. */
  #known: ReadonlyArray<string> = []

  constructor(address: string, zone: string, environment: Environment, settings: ClientSettings) {
    this.#address = address
    this.#zone = zone
    this.#environment = environment
    this.#settings = settings
  }

  /** The socket's address to try now. */
  async socket(): Promise<string> {
    if (this.#next.length === 0) this.#next = await this.#ask()
    return socketUrl(this.#next[0] ?? this.#address)
  }

  /** It could not be reached, or went without a word. */
  lost(): void {
    this.#next = this.#next.slice(1)
  }

  /** Told to move, or to come back later: who is good now is asked anew. */
  moved(): void {
    this.#next = []
  }

  async #ask(): Promise<ReadonlyArray<string>> {
    const { fetchJson } = this.#environment
    if (fetchJson === undefined || !this.#settings.discoverEdges) return [this.#address]
    for (const from of new Set([this.#address, ...this.#known])) {
      const url = listUrl(from, this.#zone)
      if (url === undefined) continue
      try {
        const edges = edgesIn(await fetchJson(url, this.#settings.discoverTimeoutMs))
        if (edges === undefined) continue
        this.#known = edges
        return edges.length === 0 ? [this.#address] : edges
      } catch {
        // The next one may answer.
      }
    }
    // Nobody answers: one of them may all the same take a socket, a load balancer that lets nothing else through, say.
    return [this.#address, ...this.#known]
  }
}

/** An address with a path of its own is somebody's own routing, which nothing here knows better. */
const listUrl = (address: string, zone: string): string | undefined => {
  const url = new URL(address)
  if (url.pathname !== "" && url.pathname !== "/") return undefined
  url.protocol = url.protocol.replace(/^ws/, "http")
  url.pathname = "/v1/edges"
  url.search = zone === "" ? "" : `?zone=${encodeURIComponent(zone)}`
  return url.href
}

const edgesIn = (answer: unknown): ReadonlyArray<string> | undefined => {
  if (typeof answer !== "object" || answer === null || !("edges" in answer) || !Array.isArray(answer.edges))
    return undefined
  // Reason for `unknown`: Array.isArray gives `any`.
  const edges: ReadonlyArray<unknown> = answer.edges
  return edges.flatMap((edge) =>
    typeof edge === "object" && edge !== null && "url" in edge && typeof edge.url === "string" && isAddress(edge.url)
      ? [edge.url]
      : []
  )
}

const isAddress = (text: string): boolean => URL.canParse(text) && /^(http|ws)s?:$/.test(new URL(text).protocol)
