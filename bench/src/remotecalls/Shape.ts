/** What both processes of `remotecalls` have to agree on. */
export const shardCount = 256
export const ownerName = "bench-owner"
export const plainSubject = (prefix: string): string => `${prefix}.plain`
/** As large as the call's own bytes. */
export const plainRequest = new Uint8Array(230)
export const plainReply = new Uint8Array(30)
