/**
 * A hash of what a mutation does, all but its client id: the same id with another hash is `id_reused`. 53 bits in two
 * rounds of 32 (cyrb53): not against forgers (a sender could only fool himself), fast on the hot path (`bench send`).
 * Its values are in logs and stores: a change needs a new prefix.
 */
import type { ChannelMutation } from "../owner/OwnerProtocol.ts"

export const mutationHash = (mutation: ChannelMutation): string => {
  const hash = new Hash()
  hash.text(mutation.op)
  hash.text(mutation.channel)
  switch (mutation.op) {
    case "send":
      hash.text(mutation.text)
      hash.texts(mutation.mentions)
      break
    case "edit":
      hash.number(mutation.target)
      hash.text(mutation.text)
      hash.texts(mutation.mentions)
      break
    case "delete":
      hash.number(mutation.target)
      break
    case "create":
      hash.text(mutation.name)
      hash.text(mutation.topic)
      hash.texts(mutation.members)
      break
    case "update":
      hash.optional(mutation.name)
      hash.optional(mutation.topic)
      break
    case "add_members":
    case "remove_members":
      hash.texts(mutation.members)
      break
    case "join":
    case "leave":
      break
  }
  return hash.end()
}

class Hash {
  #a = 0xdeadbeef
  #b = 0x41c6ce57

  #mix(value: number): void {
    this.#a = Math.imul(this.#a ^ value, 2_654_435_761)
    this.#b = Math.imul(this.#b ^ value, 1_597_334_677)
  }

  // The length first, so that no two lists of fields read as the same chars.
  text(text: string): void {
    this.#mix(text.length)
    for (let at = 0; at < text.length; at++) this.#mix(text.charCodeAt(at))
  }

  texts(texts: ReadonlyArray<string>): void {
    this.#mix(texts.length)
    for (const text of texts) this.text(text)
  }

  number(value: number): void {
    this.text(String(value))
  }

  optional(text: string | undefined): void {
    this.#mix(text === undefined ? 0 : 1)
    if (text !== undefined) this.text(text)
  }

  end(): string {
    const a =
      Math.imul(this.#a ^ (this.#a >>> 16), 2_246_822_507) ^ Math.imul(this.#b ^ (this.#b >>> 13), 3_266_489_909)
    const b = Math.imul(this.#b ^ (this.#b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909)
    return (4_294_967_296 * (2_097_151 & b) + (a >>> 0)).toString(36)
  }
}
