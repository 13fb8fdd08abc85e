/** The file system that loses power does lose what it should, and nothing else: or the power-loss test proves nothing. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { LossyMount, noFuse } from "./harness/LossyMount.ts"

const sync = (path: string): void => {
  const descriptor = openSync(path, "r")
  fsyncSync(descriptor)
  closeSync(descriptor)
}

/** Does something in a directory that had a synced file `old`, cuts the power, and looks at what is left. */
const afterCut = async (
  act: (directory: string) => void,
  look: (directory: string) => void,
  seed?: number
): Promise<void> => {
  await using folder = await Folder.make()
  await using mount = await LossyMount.mount(folder.in("disk"), folder.in("mount"), seed)
  writeFileSync(join(mount.path, "old"), "before")
  sync(join(mount.path, "old"))
  sync(mount.path)
  act(mount.path)
  mount.cut()
  expect(() => writeFileSync(join(mount.path, "late"), "x")).toThrow(/EIO/)
  look(mount.backing)
}

const text = (directory: string, name: string): string => readFileSync(join(directory, name), "utf8")

const cases: ReadonlyArray<readonly [string, (directory: string) => void, (directory: string) => void]> = [
  [
    "forgets a write that was not synced",
    (at) => writeFileSync(join(at, "old"), "BEFORE", { flag: "r+" }),
    (at) => expect(text(at, "old")).toBe("before")
  ],
  [
    "keeps a write that was synced",
    (at) => {
      writeFileSync(join(at, "old"), "BEFORE", { flag: "r+" })
      sync(join(at, "old"))
    },
    (at) => expect(text(at, "old")).toBe("BEFORE")
  ],
  [
    "forgets a new file whose directory was not synced",
    (at) => {
      writeFileSync(join(at, "new"), "x")
      sync(join(at, "new"))
    },
    (at) => expect(existsSync(join(at, "new"))).toBe(false)
  ],
  [
    "keeps a new file, empty, whose directory alone was synced",
    (at) => {
      writeFileSync(join(at, "new"), "x")
      sync(at)
    },
    (at) => expect(text(at, "new")).toBe("")
  ],
  [
    "forgets a directory with all there is in it",
    (at) => {
      mkdirSync(join(at, "folder"))
      writeFileSync(join(at, "folder", "new"), "x")
      sync(join(at, "folder", "new"))
      sync(join(at, "folder"))
    },
    (at) => expect(existsSync(join(at, "folder"))).toBe(false)
  ],
  [
    "does not bring a file back into a directory that is gone for good",
    (at) => {
      mkdirSync(join(at, "folder"))
      writeFileSync(join(at, "folder", "new"), "x")
      sync(join(at, "folder", "new"))
      sync(join(at, "folder"))
      sync(at)
      rmSync(join(at, "folder"), { recursive: true })
      sync(at)
    },
    (at) => expect(existsSync(join(at, "folder"))).toBe(false)
  ],
  ["brings back what was removed", (at) => rmSync(join(at, "old")), (at) => expect(text(at, "old")).toBe("before")],
  [
    "takes back a rename over another file",
    (at) => {
      writeFileSync(join(at, "new"), "after")
      sync(join(at, "new"))
      renameSync(join(at, "new"), join(at, "old"))
    },
    (at) => expect(text(at, "old")).toBe("before")
  ],
  [
    "keeps a rename whose directory was synced",
    (at) => {
      writeFileSync(join(at, "new"), "after")
      sync(join(at, "new"))
      renameSync(join(at, "new"), join(at, "old"))
      sync(at)
    },
    (at) => expect([text(at, "old"), existsSync(join(at, "new"))]).toEqual(["after", false])
  ]
]

describe("the file system that loses power", () => {
  it.for(cases)("%s", async ([, act, look], ctx) => {
    const why = noFuse()
    if (why !== undefined) return ctx.skip(why)
    await afterCut(act, look)
  })

  it("with a journal a sync of a file keeps its name, and the names before it", async (ctx) => {
    const why = noFuse()
    if (why !== undefined) return ctx.skip(why)
    await using folder = await Folder.make()
    await using mount = await LossyMount.mount(folder.in("disk"), folder.in("mount"), undefined, true)
    writeFileSync(join(mount.path, "first"), "x")
    writeFileSync(join(mount.path, "second"), "x")
    sync(join(mount.path, "second"))
    writeFileSync(join(mount.path, "third"), "x")
    mount.cut()
    expect(["first", "second", "third"].map((name) => existsSync(join(mount.backing, name)))).toEqual([
      true,
      true,
      false
    ])
    expect([text(mount.backing, "first"), text(mount.backing, "second")]).toEqual(["", "x"])
  })

  it("with a seed keeps a part of the writes, and all that was synced", async (ctx) => {
    const why = noFuse()
    if (why !== undefined) return ctx.skip(why)
    const blocks = 200
    const write = (at: string): void => {
      const descriptor = openSync(join(at, "old"), "r+")
      for (let block = 0; block < blocks; block++) {
        writeSync(descriptor, Buffer.alloc(1_024, block < 10 ? "s" : "u"), 0, 1_024, block * 1_024)
        if (block === 9) fsyncSync(descriptor)
      }
      closeSync(descriptor)
    }
    const kept = (at: string): void => {
      const left = text(at, "old")
      expect(left.slice(0, 10_240)).toBe("s".repeat(10_240))
      const unsynced = left.slice(10_240).replaceAll(/[^u]/g, "").length
      expect(unsynced).toBeGreaterThan(10_240)
      expect(unsynced).toBeLessThan((blocks - 10) * 1_024)
    }
    await afterCut(write, kept, 7)
  })
})
