/** The consumers that hold the log (†3): it is cut below the lower of their positions. */

/** Its position is the store's (†25). */
export const persisterConsumer = "persister"
/** Tells sessions, and puts channels into inboxes. */
export const memberFanoutConsumer = "member-fanout"
