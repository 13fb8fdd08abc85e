/** What the tests' device does where the runs of the workload found it wrong, over a real server. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Recorder } from "../checker/History.ts"
import { Folder } from "../harness/Folder.ts"
import { Server } from "../harness/Server.ts"
import { newClientId } from "./ClientIds.ts"
import { Device } from "./Device.ts"
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

const connect = async (user: string): Promise<Device> => {
  const device = new Device({ user, device: `${user}-1`, url: () => server.url, recorder: new Recorder() })
  devices.push(device)
  device.start()
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
})
