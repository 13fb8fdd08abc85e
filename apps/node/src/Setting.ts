/** Kinds of settings: each knows its default and how to read a value, or what to say about one that makes no sense. */
import { Redacted } from "effect"

export interface Setting<A> {
  readonly fallback: A
  /** What a number counts; "" for text. */
  readonly unit: string
  readonly sentence: string
  /** Not to be shown in logs, errors or documents, and may come from a file. */
  readonly secret: boolean
  /** The value, or what is wrong with it. */
  readonly parse: (text: string) => { readonly value: A } | { readonly why: string }
}

export const text = (fallback: string, sentence: string): Setting<string> => ({
  fallback,
  unit: "",
  sentence,
  secret: false,
  parse: (value) => ({ value })
})

/** Wrapped from here on: printed, logged or turned into JSON it shows nothing. Empty: it is not given. */
export const secret = (sentence: string): Setting<Redacted.Redacted> => ({
  fallback: Redacted.make(""),
  unit: "",
  sentence,
  secret: true,
  parse: (value) => ({ value: Redacted.make(value) })
})

export const isGiven = (value: Redacted.Redacted): boolean => Redacted.value(value) !== ""

export const list = (sentence: string, fits: RegExp, form: string): Setting<ReadonlyArray<string>> => ({
  fallback: [],
  unit: "separated by commas",
  sentence,
  secret: false,
  parse: (value) => {
    const items = value
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "")
    const wrong = items.find((item) => !fits.test(item))
    return wrong === undefined ? { value: items } : { why: `"${wrong}" is not ${form}` }
  }
})

export const count = (
  fallback: number,
  unit: string,
  minimum: number,
  maximum: number,
  sentence: string
): Setting<number> => ({
  fallback,
  unit,
  sentence,
  secret: false,
  parse: (value) => {
    const number = Number(value)
    return /^\d+$/.test(value) && number >= minimum && number <= maximum
      ? { value: number }
      : { why: `a whole number from ${minimum} to ${maximum} is needed` }
  }
})

export const flag = (fallback: boolean, sentence: string): Setting<boolean> => ({
  fallback,
  unit: "true or false",
  sentence,
  secret: false,
  parse: (value) =>
    value === "true" || value === ""
      ? { value: true }
      : value === "false"
        ? { value: false }
        : { why: "true or false is needed" }
})

export const oneOf = <const A extends string>(
  fallback: NoInfer<A>,
  choices: ReadonlyArray<A>,
  sentence: string
): Setting<A> => ({
  fallback,
  unit: choices.join(", "),
  sentence,
  secret: false,
  parse: (value) => {
    const choice = choices.find((name) => name === value)
    return choice === undefined ? { why: `one of ${choices.join(", ")} is needed` } : { value: choice }
  }
})
