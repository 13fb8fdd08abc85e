/** The mini server behind real sockets, on a port of its own. */
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { WebSocketServer } from "ws"
import { subprotocol } from "../src/PlainFrame.ts"
import type { MiniServer } from "./MiniServer.ts"

export const listen = async (server: MiniServer) => {
  const sockets = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    path: "/v1/socket",
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : false)
  })
  await once(sockets, "listening")
  sockets.on("connection", (socket) => {
    const end = server.accept({
      send: (text) => socket.send(text),
      close: (code, reason) => socket.close(code, reason)
    })
    socket.on("message", (data) => end.receive(String(data)))
    socket.on("close", () => end.gone())
  })
  const close = () => {
    for (const socket of sockets.clients) socket.terminate()
    return new Promise((resolve) => sockets.close(resolve))
  }
  // `address` of a server that listens on a port.
  return { sockets, close, url: `http://127.0.0.1:${(sockets.address() as AddressInfo).port}` }
}
