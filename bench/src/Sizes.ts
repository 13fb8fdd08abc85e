/**
 * How large a bench is. `BENCH_SMALL=1` makes it small enough to be tried out on a busy machine; what is said then is
 * marked `small`, and its figures are of no worth.
 */
export const small = process.env["BENCH_SMALL"] === "1"

export const sized = (full: number, reduced: number): number => (small ? reduced : full)
