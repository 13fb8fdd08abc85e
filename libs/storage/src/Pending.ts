/**
 * What waits for an answer, by key, in the order it came; whoever takes it is the last to have it. For short-lived values
 * with a lot behind them a Map alone will not do: when V8's Map makes a new table it leaves the entries of that moment in
 * the old one, which points to the new one. Once a table is among the old objects, so are all later ones, and with a few
 * entries at a time nearly everything that ever was in them stays until the next full collection (docs/capacity.md). So
 * the Map has cells, and a cell is emptied.
 */
interface Cell<V> {
  value: V | undefined
}

export class Pending<K, V extends object> {
  readonly #cells = new Map<K, Cell<V>>()

  get size(): number {
    return this.#cells.size
  }

  add(key: K, value: V): void {
    this.#cells.set(key, { value })
  }

  /** Undefined: nothing waits under this key, or no longer. */
  take(key: K): V | undefined {
    const cell = this.#cells.get(key)
    if (cell === undefined) return undefined
    this.#cells.delete(key)
    const { value } = cell
    cell.value = undefined
    return value
  }

  /** The one that came first. */
  first(): readonly [K, V] | undefined {
    for (const [key, { value }] of this.#cells) if (value !== undefined) return [key, value]
    return undefined
  }

  takeAll(): ReadonlyArray<V> {
    const all: Array<V> = []
    for (const key of this.#cells.keys()) {
      const value = this.take(key)
      if (value !== undefined) all.push(value)
    }
    return all
  }
}
