/** Promises that wait for a condition, which is looked at whenever something changed. */
export class Conditions {
  readonly #waiting = new Set<{ readonly holds: () => boolean; readonly resolve: () => void }>()

  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.add({ holds, resolve }))
  }

  check(): void {
    for (const waiter of this.#waiting) {
      if (!waiter.holds()) continue
      this.#waiting.delete(waiter)
      waiter.resolve()
    }
  }
}
