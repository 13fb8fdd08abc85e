/** The address of the WebSocket, out of the one that people know. */

/** Where the server takes WebSockets when the address names no path. */
export const socketPath = "/v1/socket"

export const socketUrl = (address: string): string => {
  const url = new URL(address)
  url.protocol = url.protocol.replace(/^http/, "ws")
  if (url.pathname === "" || url.pathname === "/") url.pathname = socketPath
  return url.href
}
