/** What the tests' device does where the runs of the workload found it wrong, over a real server. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Recorder } from "../checker/History.ts"
import { Folder } from "../harness/Folder.ts"
import { Server } from "../harness/Server.ts"
import { newClientId } from "./ClientIds.ts"
import { Device } from "./Device.ts"
import { LateSync } from "./LateSync.ts"
import { until } from "./RawClient.ts"

const channel = "group:one"

let folder: Folder
let server: Server
const devices: Array<Device> = []
beforeEach(async () => {
  folder = await Folder.make()
  server = await Server.start({ data: folder.in("data") })
})
afterEach(async () => {
  await Promise.all(devices.splice(0).map((device) => device.stop()))
  await server.kill()
  await folder[Symbol.asyncDispose]()
})

const start = (user: string, url: () => string | undefined): Device => {
  const device = new Device({ user, device: `${user}-1`, url, recorder: new Recorder() })
  devices.push(device)
  device.start()
  return device
}

const connect = async (user: string): Promise<Device> => {
  const device = start(user, () => server.url)
  await device.whenReady()
  return device
}

describe("a device", () => {
  it("stays in a channel that it is in again when an old leave is answered once more", async () => {
    const [ana, ben] = [await connect("ana"), await connect("ben")]
    const position = () => ben.channels.get(channel)?.position
    await ana.attempt({ op: "create", channel, cid: newClientId(), name: "", members: ["ben"] })
    await until("ben has the channel", () => position() === 1)
    const leave = { op: "leave", channel, cid: newClientId() } as const
    expect(await ben.attempt(leave)).toBe("done")
    expect(position()).toBeUndefined()
    await ana.attempt({ op: "add_members", channel, cid: newClientId(), members: ["ben"] })
    await until("ben has the channel again", () => position() === 3)
    expect(await ben.attempt(leave)).toBe("done")
    await ana.attempt({ op: "send", channel, cid: newClientId(), text: "hi" })
    await until("ben hears of it", () => position() === 4)
  })
  it("keeps a channel that was pushed while its sync was answered, though the answer says reload and lacks it", async () => {
    await using late = await LateSync.start(server.url ?? "")
    const ana = await connect("ana")
    const ben = start("ben", () => late.url)
    await until("the answer to ben's sync is made", () => late.held === 1)
    await ana.attempt({ op: "create", channel, cid: newClientId(), name: "", members: ["ben"] })
    await ben.whenReady()
    await ana.attempt({ op: "send", channel, cid: newClientId(), text: "hi" })
    await until("ben hears of it", () => ben.channels.get(channel)?.position === 2)
    // It must not outlive what it stands in front of.
    await ben.stop()
  })

  it("is not brought back into a channel by the answer to a sync that was asked for before he was removed", async () => {
    await using late = await LateSync.start(server.url ?? "", "personal")
    let url = server.url
    const ana = await connect("ana")
    const ben = start("ben", () => url)
    await ben.whenReady()
    await ana.attempt({ op: "create", channel, cid: newClientId(), name: "", members: ["ben"] })
    await until("ben has the channel", () => ben.channels.get(channel)?.position === 1)
    url = late.url
    ben.drop()
    await until("the answer to ben's sync is made", () => late.held === 1)
    await ana.attempt({ op: "remove_members", channel, cid: newClientId(), members: ["ben"] })
    await ben.whenReady()
    expect(ben.channels.has(channel)).toBe(false)
    await ben.stop()
  })
})
