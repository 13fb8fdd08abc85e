import { describe, expect, it } from "vitest"
import { memoryStorage } from "../src/ClientStorage.ts"
import { World } from "./World.ts"

const lobby = "public:lobby"

const texts = (view: { snapshot(): { messages: ReadonlyArray<{ text: string }> } }) => view.snapshot().messages.map(({ text }) => text)

describe("ChatClient", () => {
  it("connects, lists the channels, and shows what is said from then on", async () => {
    const world = new World()
    const channel = world.server.make(lobby, ["ana", "ben"])
    world.server.say(channel, "ben", "before")
    const client = await world.online(world.client())
    expect(client.channels.snapshot()).toMatchObject({ unread: 1, channels: [{ channel: lobby, unread: 1 }] })
    const view = client.channel(lobby)
    world.server.say(channel, "ben", "after")
    await world.time.until("the message", () => texts(view).includes("after"))
    expect(view.snapshot()).toMatchObject({ unread: 2, position: 3 })
    const loaded = view.loadOlder()
    await world.time.pass(100)
    expect(await loaded).toBe(false)
    expect(texts(view)).toEqual(["before", "after"])
    expect(view.snapshot().more).toBe(false)
  })
})
