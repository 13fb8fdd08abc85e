/** What a server that is alone keeps in its data directory. */
export const logFile = "log.sqlite"
export const storeFile = "store.sqlite"
