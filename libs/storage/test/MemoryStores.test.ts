/** The in-memory stores keep the contracts of their seams. */
import { layer } from "../src/memory/MemoryStores.ts"
import { channelStoreContract } from "./ChannelStoreContract.ts"
import { cursorStoreContract } from "./CursorStoreContract.ts"
import { directoryContract } from "./DirectoryContract.ts"
import { inboxContract } from "./InboxContract.ts"
import { messageStoreContract } from "./MessageStoreContract.ts"
import { parkedEventsContract } from "./ParkedEventsContract.ts"

messageStoreContract("memory", layer)
cursorStoreContract("memory", layer)
directoryContract("memory", layer, "kept")
inboxContract("memory", layer)
parkedEventsContract("memory", layer)
channelStoreContract("memory", layer, { lateRows: "by column" })
