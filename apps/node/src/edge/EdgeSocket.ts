/**
 * The WebSocket class of the edge: `ws`, with the connection as a field (no closures a socket) and Parley's own close
 * code where `ws` closes by itself because a message was too large.
 */
import type { Socket } from "node:net"
import { WebSocket } from "ws"
import { closeTable } from "@parley/protocol/CloseCode"
import type { Connection } from "./Connection.ts"

/** RFC 6455: a message too big to process. */
const wsTooLarge = 1009

export class EdgeSocket extends WebSocket {
  /** Undefined between the handshake and the edge's taking it on. */
  connection: Connection | undefined = undefined

  override close(code?: number, reason?: string | Buffer): void {
    if (code === wsTooLarge) super.close(closeTable.too_large.code, closeTable.too_large.text)
    else super.close(code, reason)
  }
}

/** The socket that `ws` writes to. */
export const rawSocket = (socket: EdgeSocket): Socket =>
  // `_socket` is not in the typings; it is set before the handshake's callback runs (ws 8.23).
  (socket as unknown as { readonly _socket: Socket })._socket
