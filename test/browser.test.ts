/**
 * The client in a real browser, against a real server: origin and CORS as a browser does them, `localStorage`, a reload
 * with a message that was not sent yet, and a page of a foreign origin that gets nothing. Installs Debian's
 * Chromium where there is none and it may.
 */
import type { ChildProcess } from "node:child_process"
import { expect, it } from "vitest"
import { findBrowser, openBrowser, PageHost } from "./browser/Browser.ts"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { developmentToken } from "./wire/Tokens.ts"
import { RawClient } from "./wire/RawClient.ts"

const channel = "public:browser"
/** An installation, and the test. */
const testMsMax = 600_000

const end = async (child: ChildProcess | undefined): Promise<void> => {
  if (child === undefined || child.exitCode !== null) return
  const ended = new Promise((resolve) => child.once("exit", resolve))
  child.kill("SIGKILL")
  await ended
}

it(
  "a page chats, survives a reload with an unsent message, and shows it sent once",
  { timeout: testMsMax },
  async ({ skip }) => {
    const found = await findBrowser()
    if ("why" in found) return skip(`there is no Chromium here, and it can't be installed: ${found.why}`)
    const browser = found.path
    await using folder = await Folder.make()
    await using page = await PageHost.start()
    await using foreign = await PageHost.start()
    const environment = { PARLEY_ORIGINS: page.origin }
    let server = await Server.start({ data: folder.in("data"), environment })
    const api = server.url ?? ""
    let child: ChildProcess | undefined
    let trespasser: ChildProcess | undefined
    try {
      const ana = await (await RawClient.open(api)).join(await developmentToken(api, "ana"), "d")
      await ana.ok("create", { channel, cid: newClientId(), name: "Browser", members: [] })
      child = openBrowser(browser, folder.in("profile"), `${page.origin}/?api=${encodeURIComponent(api)}`)
      const { device } = (await page.told("joined")) as { device: string } // of the page's program
      expect(device).toMatch(/^d-/)
      await ana.pushed("the page's message", (frame) => frame["event"]?.text === "one")
      await ana.ok("send", { channel, cid: newClientId(), text: "two" })
      expect(await page.told("shown")).toEqual({
        unread: 1,
        messages: [
          ["bea", "one", "sent"],
          ["ana", "two", "sent"]
        ]
      })
      expect(await page.told("read")).toMatchObject({ unread: 0 })
      await ana.pushed(
        "that it was read",
        (frame) => frame["ev"] === "receipt" && frame["user"] === "bea" && frame["read"] === 4
      )

      trespasser = openBrowser(browser, folder.in("other"), `${foreign.origin}/?foreign&api=${encodeURIComponent(api)}`)
      expect(await foreign.told("trespassed")).toEqual({ fetched: "TypeError", opened: false })

      await server.kill()
      expect(await page.told("unsent")).toMatchObject({ messages: [{}, {}, ["bea", "three", "sending"]] })
      const reloaded = { device, messages: [["bea", "three", "sending"]] }
      expect(await page.told("reloaded")).toMatchObject(reloaded)
      server = await Server.start({ data: folder.in("data"), environment, args: ["--port", new URL(api).port] })
      const sent = [
        ["bea", "one", "sent"],
        ["ana", "two", "sent"],
        ["bea", "three", "sent"]
      ]
      expect(await page.told("sent")).toMatchObject({ messages: sent })
      const again = await (await RawClient.open(api)).join(await developmentToken(api, "ana"), "d")
      const { events } = await again.ok("history", { channel })
      expect(events.map((event: { text: string }) => event.text)).toEqual(["one", "two", "three"])
    } finally {
      await end(child)
      await end(trespasser)
      await server.kill()
    }
  }
)
