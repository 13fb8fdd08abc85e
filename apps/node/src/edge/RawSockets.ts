/**
 * TCP connections that are not WebSockets (yet): those of one address are bounded, because each may sit there silent
 * until the request timeout. One that becomes a WebSocket leaves this count for that of the unauthenticated.
 */
import type { Socket } from "node:net"

export class RawSockets {
  readonly #perAddressMax: number
  readonly #trustedProxies: ReadonlyArray<string>
  readonly #counts = new Map<string, number>()
  /** Since the start, for metrics. */
  refused = 0

  constructor(perAddressMax: number, trustedProxies: ReadonlyArray<string>) {
    this.#perAddressMax = perAddressMax
    this.#trustedProxies = trustedProxies
  }

  countOf(address: string): number {
    return this.#counts.get(address) ?? 0
  }

  /** For the `connection` event of a server. */
  readonly accept = (socket: Socket): void => {
    const address = plainAddress(socket.remoteAddress ?? "")
    // All of a proxy's clients come from its one address; it bounds them itself.
    if (this.#trustedProxies.includes(address)) return
    if (this.countOf(address) >= this.#perAddressMax) {
      this.refused++
      socket.destroy()
      return
    }
    this.#counts.set(address, this.countOf(address) + 1)
    socket.on("close", this.#onClose)
  }

  /** The socket is a WebSocket now. */
  leave(socket: Socket): void {
    if (!socket.listeners("close").includes(this.#onClose)) return
    socket.off("close", this.#onClose)
    this.#left(socket)
  }

  readonly #onClose = this.#handler((socket) => this.#left(socket))

  /** One function for all sockets: it gets the socket as `this`. */
  #handler(handle: (socket: Socket) => void) {
    return function (this: Socket): void {
      handle(this)
    }
  }

  #left(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress ?? "")
    const count = this.countOf(address) - 1
    if (count > 0) this.#counts.set(address, count)
    else this.#counts.delete(address)
  }
}

/** An IPv4 address that came in over an IPv6 socket, as IPv4. */
export const plainAddress = (address: string): string => (address.startsWith("::ffff:") ? address.slice(7) : address)
