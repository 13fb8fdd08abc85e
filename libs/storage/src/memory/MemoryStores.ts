/** All stores behind the log in memory; nothing outlives the process, so there is nothing to sync. */
import { Effect, Layer } from "effect"
import { layerComposed } from "../ChannelStore.ts"
import { StoreSync } from "../StoreSync.ts"
import { layerMemory as cursorStore } from "./MemoryCursorStore.ts"
import { layerMemory as directory } from "./MemoryDirectory.ts"
import { layerMemory as inbox } from "./MemoryInbox.ts"
import { layerMemory as messageStore } from "./MemoryMessageStore.ts"
import { layerMemory as parkedEvents } from "./MemoryParkedEvents.ts"

export const layer = Layer.provideMerge(
  layerComposed,
  Layer.mergeAll(
    messageStore,
    cursorStore,
    directory,
    inbox,
    parkedEvents,
    Layer.succeed(StoreSync, StoreSync.of({ sync: Effect.void, periodic: false }))
  )
)
