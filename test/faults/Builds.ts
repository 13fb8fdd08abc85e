/**
 * Builds of the cluster that are broken on purpose, each a few patches of the product's text: one promise taken out,
 * and where the product has a second net under it, that one too.
 */

export interface Build {
  readonly name: string
  readonly about: string
  readonly patches: ReadonlyArray<{ readonly file: string; readonly find: string; readonly put: string }>
}

/** So that a run of seconds has them. */
const checkpointsOften = [
  {
    file: "libs/actors/src/owner/Checkpoints.ts",
    find: "const checkpointTicksMax = 120",
    put: "const checkpointTicksMax = 3"
  },
  {
    file: "libs/actors/src/owner/Checkpoints.ts",
    find: "const checkpointTicksMin = 40",
    put: "const checkpointTicksMin = 3"
  },
  {
    file: "libs/actors/src/owner/Checkpoints.ts",
    find: "const checkpointEventsMin = 64",
    put: "const checkpointEventsMin = 4"
  }
] as const

export const builds = [
  {
    name: "ack-before-log",
    about: "sends are acknowledged when they are gathered, not when the log has them",
    patches: [
      {
        file: "libs/actors/src/owner/ShardOwner.ts",
        find: "      waiters: [waiter],\n      reserved\n    }",
        put: "      waiters: [],\n      reserved\n    }\n    setImmediate(() => waiter(undefined))"
      }
    ]
  },
  {
    name: "no-fence",
    about: "appends do not say which record they expect to be the last one",
    patches: [
      {
        file: "libs/storage/src/jetstream/Publisher.ts",
        find: "const expected = `NATS/1.0\\r\\nNats-Expected-Last-Subject-Sequence: ${expectedLast}\\r\\n${more}`",
        put: "const expected = `NATS/1.0\\r\\n${more}`"
      }
    ]
  },
  {
    name: "discard-old",
    about: "a full stream forgets its oldest records to take new ones, and nobody refuses sends before",
    patches: [
      {
        file: "libs/storage/src/jetstream/StreamConfigs.ts",
        find: "  discard: DiscardPolicy.New,\n  num_replicas: options.replicas,",
        put: "  discard: DiscardPolicy.Old,\n  num_replicas: options.replicas,"
      },
      {
        file: "libs/storage/src/jetstream/StreamRoom.ts",
        find: "    return this.bytes + bytes <= this.#options.softBytes",
        put: "    return true"
      }
    ]
  },
  {
    name: "purge-empties",
    about: "cutting a shard's log takes its last record too, and what no consumer has read",
    patches: [
      {
        file: "libs/storage/src/jetstream/LogReads.ts",
        find: "    const keepFrom = Math.min(upTo + 1, last.position)",
        put: "    const keepFrom = last.position + 1"
      },
      // Shard by shard, though there is room.
      {
        file: "apps/node/src/workers/LogCut.ts",
        find: "    if (!crowded || !worthCutting(",
        put: "    if (!worthCutting("
      },
      ...checkpointsOften
    ]
  },
  {
    name: "interest-forgotten",
    about:
      "an edge does not notice that a shard has a new owner, which knows nothing of its interest: by its heartbeats or by its announcement",
    patches: [
      {
        file: "apps/node/src/edge/Interest.ts",
        find: "      if (interest === undefined || epoch < interest.epoch) continue\n",
        put: "      if (interest === undefined) continue\n      interest.epoch = epoch\n      interest.listedAt = performance.now()\n      if (epoch > 0) continue\n"
      },
      {
        file: "apps/node/src/edge/Interest.ts",
        find: "    if (interest !== undefined && interest.epoch > 0 && epoch > interest.epoch) this.#moved(interest, epoch)\n",
        put: "    void [interest, epoch]\n"
      }
    ]
  },
  {
    name: "poison",
    about: "the store refuses messages with a certain text",
    patches: [
      {
        file: "apps/node/src/workers/Persister.ts",
        find: "const storedEvent = (entry: Entry): StoredEvent => ({",
        put: "const storedEvent = (entry: Entry): StoredEvent => (refusePoison(entry), {"
      },
      {
        file: "apps/node/src/workers/Persister.ts",
        find: "/** The log is cut this often. */",
        put: 'const refusePoison = (entry: Entry): void => {\n  if (Buffer.from(entry.body).includes("poison-pill")) throw new Error("poison")\n}\n'
      }
    ]
  },
  {
    name: "bare-checkpoints",
    about: "checkpoints come every few seconds and hold no entity, which they may: each is loaded from the store",
    patches: [
      {
        file: "libs/actors/src/owner/Checkpoints.ts",
        find: "    const snapshots = this.#newest(this.#active, checkpointBytesMax, true)",
        put: "    const snapshots = this.#newest(this.#active, 0, true)"
      },
      ...checkpointsOften
    ]
  }
] as const satisfies ReadonlyArray<Build>

export type BuildName = (typeof builds)[number]["name"]

/** Of `node`, to run one. */
export const buildFlags = (name: BuildName): ReadonlyArray<string> => [
  "--import",
  `${new URL("BrokenBuild.ts", import.meta.url).href}?build=${name}`
]
