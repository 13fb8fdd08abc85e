/**
 * What a channel's type (the part of its id before the colon) allows. A type that this table does not name gets the
 * most restrictive row that still makes a usable channel: private.
 */

export interface ChannelType {
  /** Anyone who knows the id may join; otherwise a non-member can't tell the channel from one that does not exist. */
  readonly open: boolean
  /** Joining again opens what lies between the stays (†15). */
  readonly rejoinOpens: boolean
  /** Members are those of the creation for ever: nobody is added, removed, or leaves. */
  readonly fixedMembers: boolean
}

const open: ChannelType = { open: true, rejoinOpens: true, fixedMembers: false }
const closed: ChannelType = { open: false, rejoinOpens: false, fixedMembers: false }
const direct: ChannelType = { open: false, rejoinOpens: false, fixedMembers: true }

export const channelTypes: ReadonlyMap<string, ChannelType> = new Map([
  ["public", open],
  ["group", closed],
  ["dm", direct]
])

export const channelTypeOf = (channel: string): ChannelType =>
  channelTypes.get(channel.slice(0, channel.indexOf(":"))) ?? closed
