import { describe, expect, it } from "vitest"
import { channelIdPattern } from "@parley/protocol/Ids"
import {
  channelIdOf,
  commandNames,
  directChannelOf,
  help,
  mentionsIn,
  parseCommand
} from "../../../src/cli/chat/Commands.ts"

describe("commands", () => {
  it("takes what has no slash, or two, as a message with its mentions", () => {
    expect(parseCommand("hi @ben and @cleo, mail a@b.org")).toEqual({
      _tag: "Say",
      text: "hi @ben and @cleo, mail a@b.org",
      mentions: ["ben", "cleo"]
    })
    expect(parseCommand("//usr/bin")).toMatchObject({ _tag: "Say", text: "/usr/bin" })
    expect(parseCommand("  ")).toMatchObject({ _tag: "Wrong" })
    expect(mentionsIn("@ana @ana @@x")).toEqual(["ana"])
  })

  it("reads each command with its arguments", () => {
    expect(parseCommand("/join lobby")).toEqual({ _tag: "Join", channel: "public:lobby" })
    expect(parseCommand("/join group:team")).toEqual({ _tag: "Join", channel: "group:team" })
    expect(parseCommand("/create plans")).toEqual({
      _tag: "Create",
      channel: "public:plans",
      name: "plans",
      members: []
    })
    expect(parseCommand("/create plans ana, @ben")).toEqual({
      _tag: "Create",
      channel: "group:plans",
      name: "plans",
      members: ["ana", "ben"]
    })
    expect(parseCommand("/dm @ben")).toEqual({ _tag: "Direct", user: "ben" })
    expect(parseCommand("/edit two  words\nand a line")).toEqual({ _tag: "Edit", text: "two  words\nand a line" })
    expect(parseCommand("/edit")).toEqual({ _tag: "Edit", text: null })
    expect(parseCommand("/TOPIC what we do")).toEqual({ _tag: "Topic", text: "what we do" })
    expect(parseCommand("/remove ben")).toEqual({ _tag: "Remove", members: ["ben"] })
  })

  it("says what is wrong, instead of guessing", () => {
    for (const line of ["/join", "/dm", "/dm a b", "/create", "/add", "/add no,good!", "/nothing", "/rename"]) {
      expect(parseCommand(line)._tag).toBe("Wrong")
    }
  })

  it("knows every command that it offers to complete, and explains it", () => {
    for (const name of commandNames) {
      const command = parseCommand(`${name} x`)
      expect(command._tag === "Wrong" ? command.why : "").toBe("")
      expect(help.join("\n")).toContain(name)
    }
  })

  it("gives two users one channel, whoever begins, and others another", () => {
    const id = directChannelOf("ana", "ben")
    expect(directChannelOf("ben", "ana")).toBe(id)
    expect(id).toMatch(channelIdPattern)
    expect(directChannelOf("an", "aben")).not.toBe(id)
  })

  it("makes ids only out of what can be one", () => {
    expect(channelIdOf("#plans for may", "public")).toBe("public:plans-for-may")
    expect(channelIdOf("", "public")).toBeUndefined()
    expect(channelIdOf("über", "public")).toBeUndefined()
  })
})
