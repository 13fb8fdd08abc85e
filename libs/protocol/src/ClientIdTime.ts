/** The time in a client id. Apart from its schema: the stores' threads need this alone, and start faster without Effect. */

/** Milliseconds since 1970 embedded in a UUIDv7. */
export const clientIdTime = (id: string): number => parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
