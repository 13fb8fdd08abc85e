/**
 * Which release's wire this process writes and reads. A test build can stand for the next one (`--test-fault next-release`),
 * so that two releases are seen side by side before there are two: it reads the version after this one as well, says
 * more at the end of every part than this one knows, and writes the old version or its own, as an upgrade would.
 */

export interface WireRelease {
  readonly writes: number
  readonly readsUpTo: number
  /** Behind what this release says in a part. */
  readonly more: Uint8Array
}

/** Written by this release, and the oldest one that it reads. */
export const wireVersion = 1
export const wireVersionMin = 1

const thisRelease: WireRelease = { writes: wireVersion, readsUpTo: wireVersion, more: new Uint8Array() }
let speaking = thisRelease

export const wireRelease = (): WireRelease => speaking

/** As the release after this one; its version's header says more, too. Answers what takes it back. */
export const speakNextWire = (writesItsOwn: boolean): (() => void) => {
  const more = Uint8Array.of(0xff, 0x80, 7, 0, 0, 0, 1)
  speaking = { writes: wireVersion + (writesItsOwn ? 1 : 0), readsUpTo: wireVersion + 1, more }
  return () => {
    speaking = thisRelease
  }
}
