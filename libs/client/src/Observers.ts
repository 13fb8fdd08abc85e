/**
 * Who wants to know that something changed. Observers are told once for all changes of a turn, in a microtask, so a
 * page of events costs one redraw; one that throws does not keep the others from being told.
 */
export type Unsubscribe = () => void

export class Observers {
  readonly #observers = new Set<() => void>()
  #told = true

  get count(): number {
    return this.#observers.size
  }

  add(observer: () => void): Unsubscribe {
    // A function given twice is two observers.
    const own = () => observer()
    this.#observers.add(own)
    return () => void this.#observers.delete(own)
  }

  changed(): void {
    if (!this.#told || this.#observers.size === 0) return
    this.#told = false
    queueMicrotask(() => {
      this.#told = true
      for (const observer of this.#observers) callSafely(observer)
    })
  }
}

/** The application's own error is reported as uncaught, where its author sees it, and the client goes on. */
export const callSafely = (run: () => void): void => {
  try {
    run()
  } catch (error) {
    setTimeout(() => {
      throw error
    }, 0)
  }
}
