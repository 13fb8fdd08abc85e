/** A shard's records in another log: its next owner there has what he would have had here. */
import { assert, it } from "@effect/vitest"
import { Result } from "effect"
import {
  decodeRecord,
  encodeBody,
  encodeRecord,
  noHash,
  noPlace,
  type RecordHeader,
  type RecordPlace
} from "../../src/log/Record.ts"
import { Transplant } from "../../src/log/Transplant.ts"
import { entry } from "./Entries.ts"

const shard = 3

/** A log in which each record is three after the one before. */
class Source {
  readonly records: Array<{ readonly position: number; readonly bytes: Uint8Array }> = []
  #previous = noHash
  #checkpoint: RecordPlace = noPlace

  constructor() {
    this.#add("epoch", 4)
    this.events(4, 1, 2)
  }

  events(epoch: number, ...seqs: ReadonlyArray<number>): void {
    this.#put(
      encodeRecord(
        this.#header("events", epoch),
        seqs.map((seq) => entry(seq))
      )
    )
  }

  checkpoint(epoch: number): void {
    const here = { position: (this.records.length + 1) * 3, number: this.records.length + 1 }
    this.#add("full", epoch)
    this.#checkpoint = here
  }

  #add(kind: "epoch" | "full", epoch: number): void {
    this.#put(encodeBody(this.#header(kind, epoch), Uint8Array.of(9, epoch)))
  }

  #header(kind: RecordHeader["kind"], epoch: number): RecordHeader {
    const number = this.records.length + 1
    return {
      kind,
      shard,
      epoch,
      number,
      previous: this.#previous,
      checkpoint: this.#checkpoint,
      full: this.#checkpoint
    }
  }

  #put({ bytes, hash }: { readonly bytes: Uint8Array; readonly hash: string }): void {
    this.records.push({ position: (this.records.length + 1) * 3, bytes })
    this.#previous = hash
  }
}

const move = (records: Source["records"], first: number) => {
  const transplant = new Transplant(shard)
  return records.map((record, at) => {
    const bytes = Result.getOrThrow(transplant.seal(record))
    transplant.placed(first + at * 10)
    return { position: first + at * 10, bytes, record: Result.getOrThrow(decodeRecord(bytes)) }
  })
}

it("†19 †23 entries, epochs and numbers stay; places are the other log's, and each record names the one before", () => {
  const source = new Source()
  source.checkpoint(4)
  source.events(5, 3)
  const moved = move(source.records, 101)
  assert.deepStrictEqual(
    moved.map(({ record }) => [record.kind, record.epoch, record.number, record.entries.map(({ seq }) => seq)]),
    [
      ["epoch", 4, 1, []],
      ["events", 4, 2, [1, 2]],
      ["full", 4, 3, []],
      ["events", 5, 4, [3]]
    ]
  )
  for (const [at, { record }] of moved.entries()) {
    assert.strictEqual(record.previous, at === 0 ? noHash : moved[at - 1]?.record.hash)
  }
  assert.deepStrictEqual(moved[3]?.record.full, { position: 121, number: 3 })
  assert.deepStrictEqual(moved[3]?.record.entries, [entry(3)])
})

it("the same places give the same bytes, and records that are cut in front are no hole", () => {
  const source = new Source()
  source.checkpoint(4)
  source.events(4, 3)
  const bytes = (records: Source["records"]) => move(records, 7).map(({ bytes }) => Buffer.from(bytes).toString("hex"))
  assert.deepStrictEqual(bytes(source.records), bytes(source.records))
  assert.strictEqual(bytes(source.records.slice(2)).length, 2)
})

it("†24 a record that is missing, of another shard, or damaged is not moved past", () => {
  const source = new Source()
  source.events(4, 3)
  const [first, second, third] = source.records
  if (first === undefined || second === undefined || third === undefined) throw new Error("three records")
  const hole = new Transplant(shard)
  Result.getOrThrow(hole.seal(first))
  hole.placed(1)
  assert.deepStrictEqual(hole.seal(third), Result.fail("number 3 comes after 1"))
  assert.deepStrictEqual(new Transplant(8).seal(first), Result.fail("it is a record of shard 3"))
  const damaged = Uint8Array.from(second.bytes)
  damaged[100] = (damaged[100] ?? 0) ^ 1
  assert.isTrue(Result.isFailure(new Transplant(shard).seal({ position: 6, bytes: damaged })))
})
