/**
 * What a device last sent and got, for the report of a run that failed: the frames as they were, and what
 * happened between them. Bounded; costs a string a frame.
 */

/** Frames kept of one device. */
const keptMax = 4_000
/** Of one frame; a sync of everything is longer than what is worth reading. */
const charsMax = 3_000
/** Frames shown of one channel. */
const shownMax = 60

interface Line {
  readonly at: number
  readonly connection: number
  readonly text: string
}

const startedAt = performance.now()

export class Trace {
  #lines: Array<Line> = []

  add(connection: number, direction: "out" | "in" | "note", text: string): void {
    const mark = { out: "→", in: "←", note: "·" }[direction]
    this.#lines.push({ at: performance.now() - startedAt, connection, text: `${mark} ${text.slice(0, charsMax)}` })
    if (this.#lines.length > keptMax * 2) this.#lines = this.#lines.slice(-keptMax)
  }

  /** The newest frames that name the word, and what answers them, oldest first. */
  of(word: string): string {
    const asked = new Set<string>()
    return this.#lines
      .filter(({ connection, text }) => {
        const named = text.includes(word)
        const [, field, id] = /^[→←] \{"(id|re)":(\d+)/.exec(text) ?? []
        if (named && field === "id") asked.add(`${connection} ${id}`)
        return named || (field === "re" && asked.has(`${connection} ${id}`))
      })
      .slice(-shownMax)
      .map(({ at, connection, text }) => `    ${at.toFixed(0)} #${connection} ${text}`)
      .join("\n")
  }
}
