/** What went wrong with a service, in a sentence that says what to do about it. It is shown as it is, without a stack. */
export class ServicesError extends Error {
  override readonly name = "ServicesError"
}

export const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
