/** The disk space a log in a test holds back: small enough that a hundred logs in one run do not fill a disk. */
export const reserveBytesForTests = 262_144
