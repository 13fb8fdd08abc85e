/** The last line of each bench: one JSON object. */
export interface Result {
  readonly bench: string
  readonly value: number
  readonly unit: string
  readonly baseline: number
  readonly ratio: number
  readonly target: string
  readonly pass: boolean
  readonly [more: string]: unknown
}

export const report = (result: Result): void => {
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits))

export const percentile = (sorted: ReadonlyArray<number> | Float64Array, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
