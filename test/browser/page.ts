/**
 * The program of the page: the client as a web application uses it, with `localStorage`, over two loads of the page. It
 * tells its host what it sees. Bundled for a browser by the test; the few browser globals it names are declared here.
 */
import { ChatClient } from "@parley/client/ChatClient"
import type { ChannelSnapshot } from "@parley/client/ChannelSnapshot"
import { type WebStorageLike, webStorage } from "@parley/client/ClientStorage"

declare const location: { readonly href: string; reload(): void }
declare const localStorage: WebStorageLike
declare const sessionStorage: WebStorageLike

const place = new URL(location.href)
const api = place.searchParams.get("api") ?? ""
const channel = "public:browser"

const tell = async (what: string, data: unknown): Promise<void> => {
  await fetch(new URL(`/told/${what}`, place), { method: "POST", body: JSON.stringify(data) })
}

const token = async (): Promise<string> => {
  const headers = { "content-type": "application/json" }
  const response = await fetch(`${api}/v1/tokens`, { method: "POST", headers, body: '{"user":"bea"}' })
  const { token } = (await response.json()) as { token: string } // the server's own answer
  return token
}

/** What a page of a foreign origin gets: the outcome of a fetch and of a socket. */
const trespass = async (): Promise<void> => {
  const fetched = await token().then(
    () => "answered",
    (error: unknown) => (error instanceof Error ? error.name : "refused")
  )
  const socket = new WebSocket(`${api.replace(/^http/, "ws")}/v1/socket`, "parley.v1.json")
  const opened = await new Promise<boolean>((resolve) => {
    socket.addEventListener("open", () => resolve(true))
    socket.addEventListener("close", () => resolve(false))
  })
  await tell("trespassed", { fetched, opened })
}

const client = new ChatClient({ url: api, token, storage: webStorage(localStorage) })
const view = client.channel(channel)

const whenShown = (test: (snapshot: ChannelSnapshot) => boolean): Promise<ChannelSnapshot> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (!test(view.snapshot())) return
      stop()
      resolve(view.snapshot())
    }
    const stop = view.subscribe(look)
    look()
  })
const whenStatus = (state: string): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (client.status.state === state) resolve()
    }
    client.onStatus(look)
    look()
  })
const plain = ({ messages, unread }: ChannelSnapshot) => ({
  unread,
  messages: messages.map(({ by, state, text }) => [by, text, state])
})

const first = async (): Promise<void> => {
  await client.start()
  await client.ready()
  await client.join(channel).done
  await view.send("one").done
  await tell("joined", { user: client.user, device: client.device })
  await tell("shown", plain(await whenShown(({ messages }) => messages.at(-1)?.text === "two")))
  view.read()
  await tell("read", plain(await whenShown(({ unread }) => unread === 0)))
  // The host takes the server away now. What is written meanwhile is kept over a reload.
  await whenStatus("waiting")
  view.send("three")
  await tell("unsent", plain(view.snapshot()))
  sessionStorage.setItem("load", "second")
  while (!Object.values(localStorage).some((text) => String(text).includes("three"))) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  location.reload()
}

const second = async (): Promise<void> => {
  await client.start()
  await tell("reloaded", { device: client.device, ...plain(view.snapshot()) })
  const isSent = ({ messages }: ChannelSnapshot) => messages.some((one) => one.text === "three" && one.state === "sent")
  await whenShown(isSent)
  await view.loadOlder()
  await tell("sent", plain(view.snapshot()))
}

const run = place.searchParams.has("foreign") ? trespass : sessionStorage.getItem("load") === null ? first : second
run().catch((error: unknown) => tell("failed", { error: String(error) }))
