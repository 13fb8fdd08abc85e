/**
 * The terminal itself: alternate screen, raw keys, size, and painting of what changed. Whatever ends the process, the
 * terminal is given back as it was found. When the terminal itself goes away, that is told once and nothing fails.
 */
import { StringDecoder } from "node:string_decoder"
import type { ReadStream, WriteStream } from "node:tty"
import { type Key, Keys } from "./Keys.ts"
import type { Painting, Size } from "./Screen.ts"

/** A lone escape is one after this; sequences come faster. */
const escapeMs = 40

const enterScreen = "\x1b[?1049h\x1b[?2004h\x1b[2J"
const leaveScreen = "\x1b[?2004l\x1b[?2026l\x1b[0m\x1b[?25h\x1b[?1049l"

export class Terminal {
  readonly #input: ReadStream
  readonly #output: WriteStream
  readonly #onKeys: (keys: ReadonlyArray<Key>) => void
  readonly #onResize: () => void
  readonly #onGone: () => void
  readonly #keys = new Keys()
  readonly #decoder = new StringDecoder("utf8")
  #shown: ReadonlyArray<string> = []
  #escape: NodeJS.Timeout | undefined
  #entered = false
  #gone = false

  constructor(
    input: ReadStream,
    output: WriteStream,
    handlers: {
      readonly keys: (keys: ReadonlyArray<Key>) => void
      readonly resize: () => void
      readonly gone: () => void
    }
  ) {
    this.#input = input
    this.#output = output
    this.#onKeys = handlers.keys
    this.#onResize = handlers.resize
    this.#onGone = handlers.gone
    // For good, as what was written last may fail after the terminal was left: nobody hears it then.
    this.#output.on("error", this.#lost)
    this.#input.on("error", this.#lost)
  }

  get size(): Size {
    return { columns: this.#output.columns || 80, rows: this.#output.rows || 24 }
  }

  enter(): void {
    if (this.#entered) return
    this.#entered = true
    this.#input.setRawMode(true)
    this.#input.on("data", this.#heard)
    this.#input.on("end", this.#lost)
    this.#input.resume()
    this.#output.on("resize", this.#resized)
    // However the process ends: by its own exit, an uncaught error included.
    process.on("exit", this.#restore)
    // Before the error is printed, or it would be printed on the screen that is about to go.
    process.on("uncaughtExceptionMonitor", this.#restore)
    process.on("SIGCONT", this.#continued)
    this.#output.write(enterScreen)
    this.#shown = []
  }

  leave(): void {
    if (!this.#entered) return
    this.#restore()
    clearTimeout(this.#escape)
    this.#input.off("data", this.#heard)
    this.#input.off("end", this.#lost)
    this.#input.pause()
    this.#output.off("resize", this.#resized)
    this.#forgetProcess()
  }

  #forgetProcess(): void {
    process.off("exit", this.#restore)
    process.off("uncaughtExceptionMonitor", this.#restore)
    process.off("SIGCONT", this.#continued)
  }

  /** Whatever is on the screen, the next painting paints all of it. */
  redraw(): void {
    this.#shown = []
    if (this.#entered && !this.#gone) this.#output.write("\x1b[2J")
  }

  /** Ctrl-Z: gives the terminal to the shell until it continues this process. */
  suspend(): void {
    this.#restore()
    process.kill(process.pid, "SIGTSTP")
  }

  /** Writes the lines that changed, in one go. */
  show({ cursor, lines }: Painting): void {
    if (!this.#entered || this.#gone) return
    let output = "\x1b[?2026h\x1b[?25l"
    lines.forEach((line, row) => {
      if (this.#shown[row] !== line) output += `\x1b[${row + 1};1H\x1b[0m${line}\x1b[0m`
    })
    this.#shown = lines
    this.#output.write(`${output}\x1b[${cursor.row + 1};${cursor.column + 1}H\x1b[?25h\x1b[?2026l`)
  }

  readonly #heard = (chunk: Buffer | string): void => {
    clearTimeout(this.#escape)
    const keys = this.#keys.take(typeof chunk === "string" ? chunk : this.#decoder.write(chunk))
    if (keys.length > 0) this.#onKeys(keys)
    if (!this.#keys.waiting) return
    this.#escape = setTimeout(() => {
      const rest = this.#keys.idle()
      if (rest.length > 0) this.#onKeys(rest)
    }, escapeMs)
  }

  readonly #resized = (): void => {
    this.redraw()
    this.#onResize()
  }

  readonly #continued = (): void => {
    this.#entered = false
    this.#forgetProcess()
    this.#input.off("data", this.#heard)
    this.#input.off("end", this.#lost)
    this.#output.off("resize", this.#resized)
    this.enter()
    this.#onResize()
  }

  /** Its window was closed, its multiplexer killed, its line cut: there is nothing to write to any more. */
  readonly #lost = (): void => {
    if (this.#gone) return
    this.#gone = true
    this.#onGone()
  }

  readonly #restore = (): void => {
    if (!this.#entered) return
    this.#entered = false
    if (this.#gone) return
    try {
      this.#output.write(leaveScreen)
      this.#input.setRawMode(false)
    } catch {
      // The terminal is gone: nobody is left to see it.
    }
  }
}
