/**
 * Where rows go that would be too many for one partition, as functions of what they are: whoever writes or reads finds
 * the same bucket without asking. None of this may change once there is data.
 */

/** FNV-1a of the text's chars, then mixed, for the low bits decide. */
const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

export const bucketOf = (text: string, count: number): number => hash(text) % count

export const channelIdBuckets = 128
export const channelIdBucket = (channel: string): number => bucketOf(channel, channelIdBuckets)

/** Stays that began before this seq are together: a change adds at most 100 members (Limits.membersPerChangeMax). */
const earlySeqs = 1_024
const lateBuckets = 64

/** Where the late stays of a user are. */
export const lateMemberBucket = (user: string): number => 1 + bucketOf(user, lateBuckets)
export const earlyMemberBucket = 0
export const memberBucket = (user: string, from: number): number =>
  from < earlySeqs ? earlyMemberBucket : lateMemberBucket(user)

const mentionBucketSeqs = 2 ** 20
export const mentionBucket = (seq: number): number => Math.floor(seq / mentionBucketSeqs)

export const parkedBuckets = 16
export const parkedBucket = (id: string): number => bucketOf(id, parkedBuckets)
