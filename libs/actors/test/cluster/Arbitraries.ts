/** Any request, answer, attach and link message that the protocol has, for properties of their bytes. */
import * as fc from "fast-check"
import type { Asked } from "@parley/actors/cluster/codec/CallCodec"
import type { Hint } from "@parley/actors/cluster/codec/HintCodec"
import { errorCodes, type ApiFailure } from "@parley/protocol/ApiError"
import { toWire } from "@parley/protocol/WireText"
import type {
  Attach,
  Attached,
  Caller,
  ChannelMutation,
  Detach,
  LinkItem,
  LinkMessage,
  OwnerRequest,
  SyncResult
} from "@parley/actors/owner/OwnerProtocol"

/** Also lone surrogates, which a client may send as an escape. */
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 300 }),
  fc.constant("\ud800 alone")
)
const id = fc.oneof(fc.string({ minLength: 1, maxLength: 30 }), text)
const wire = text.map((value) => toWire(JSON.stringify({ value })))
const natural = fc.oneof(fc.nat({ max: 300 }), fc.maxSafeNat())
const number = fc.oneof(natural, fc.maxSafeInteger(), fc.double({ noNaN: true })).map((value) => value + 0)
const maybe = fc.option(natural, { nil: null })
const position = fc.record({ generation: natural, seq: natural })
const caller: fc.Arbitrary<Caller> = fc.record({ user: id, device: id, connection: natural, edge: id })
const ids = fc.array(id, { maxLength: 6 })

const mutation: fc.Arbitrary<ChannelMutation> = fc.oneof(
  fc.record({ op: fc.constant("send" as const), channel: id, cid: id, text, mentions: ids }),
  fc.record({ op: fc.constant("edit" as const), channel: id, cid: id, target: natural, text, mentions: ids }),
  fc.record({ op: fc.constant("delete" as const), channel: id, cid: id, target: natural }),
  fc.record({ op: fc.constant("create" as const), channel: id, cid: id, name: text, topic: text, members: ids }),
  fc.record(
    { op: fc.constant("update" as const), channel: id, cid: id, name: text, topic: text },
    { requiredKeys: ["op", "channel", "cid"] }
  ),
  fc.record({ op: fc.constantFrom("join" as const, "leave" as const), channel: id, cid: id }),
  fc.record({
    op: fc.constantFrom("add_members" as const, "remove_members" as const),
    channel: id,
    cid: id,
    members: ids
  })
)

const moved = { caller, channel: id, seq: natural, unread: natural, mentions: natural, head: natural }

export const requestArbitrary: fc.Arbitrary<OwnerRequest> = fc.oneof(
  fc.record({ _tag: fc.constant("Mutate" as const), caller, mutation, admin: fc.boolean() }),
  fc.record({
    _tag: fc.constant("Sync" as const),
    user: id,
    items: fc.array(fc.record({ channel: id, held: fc.option(position, { nil: null }), cursor: position })),
    eventsMax: natural,
    bytesMax: natural
  }),
  fc.record({
    _tag: fc.constant("History" as const),
    user: id,
    admin: fc.boolean(),
    channel: id,
    before: maybe,
    after: maybe,
    around: maybe,
    limit: natural
  }),
  fc.record({ _tag: fc.constant("Unread" as const), user: id, channel: id, cursor: position }),
  fc.record({ _tag: fc.constant("Typing" as const), caller, channel: id, on: fc.boolean() }),
  fc.record({ _tag: fc.constant("Receipt" as const), caller, channel: id, delivered: natural, read: number }),
  fc.record({
    _tag: fc.constant("Members" as const),
    user: id,
    admin: fc.boolean(),
    channel: id,
    afterUser: id,
    limit: natural
  }),
  fc.record({ _tag: fc.constant("InspectChannel" as const), channel: id, payloads: fc.boolean() }),
  fc.record({ _tag: fc.constant("Standing" as const), user: id }),
  fc.record({ _tag: fc.constant("Open" as const), user: id, after: position }),
  fc.record({ _tag: fc.constant("Inbox" as const), user: id, asOf: natural }),
  fc.record({ _tag: fc.constant("MoveCursor" as const), ...moved, generation: fc.option(natural, { nil: null }) }),
  fc.record({ _tag: fc.constant("MarkUnread" as const), ...moved, cid: id }),
  fc.record({
    _tag: fc.constant("Notice" as const),
    user: id,
    kind: fc.constantFrom("added" as const, "removed" as const, "mentioned" as const),
    channel: id,
    seq: natural,
    by: id
  }),
  fc.record({ _tag: fc.constant("Revoke" as const), user: id, before: natural, cid: id }),
  fc.record({ _tag: fc.constant("InspectSession" as const), user: id, payloads: fc.boolean() }),
  fc.record({
    _tag: fc.constant("Report" as const),
    shard: natural,
    edge: id,
    full: fc.boolean(),
    devices: fc.array(
      fc.record({
        user: id,
        device: id,
        state: fc.constantFrom("online" as const, "away" as const, "gone" as const)
      })
    )
  }),
  fc.record({ _tag: fc.constant("Watch" as const), shard: natural, edge: id, users: ids }),
  fc.record({ _tag: fc.constant("InspectPresence" as const), shard: natural })
)

export const failureArbitrary: fc.Arbitrary<ApiFailure> = fc.record(
  {
    code: fc.constantFrom(...errorCodes),
    detail: fc.string({ minLength: 1 }),
    retry_after_ms: number,
    server_time: natural
  },
  { requiredKeys: ["code"] }
)

const presence = fc.record({
  user: id,
  state: fc.constantFrom("online" as const, "away" as const, "offline" as const),
  last_seen: maybe
})
const syncResult: fc.Arbitrary<SyncResult> = fc.oneof(
  fc.record({ _tag: fc.constant("Sync" as const), channel: id, sync: wire, head: natural }),
  fc.record({ _tag: fc.constant("Lost" as const), channel: id, seq: natural }),
  fc.record({ _tag: fc.constant("Failed" as const), channel: id, failure: failureArbitrary })
)
const cursorMoved = fc.record({ cursor: position, userSeq: natural })
const inspection = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.nat(), fc.boolean(), fc.constant(null)), {
  noNullPrototype: true
})
const plain = fc.oneof(fc.constant({}), inspection)

/** A kind of request, and an answer to it. */
export const answerArbitrary: fc.Arbitrary<readonly [OwnerRequest["_tag"], unknown]> = fc.oneof(
  fc.tuple(fc.constant("Mutate" as const), fc.record({ seq: natural, n: natural, at: number, generation: natural })),
  fc.tuple(fc.constant("Sync" as const), fc.array(syncResult)),
  fc.tuple(fc.constant("History" as const), wire),
  fc.tuple(
    fc.constant("Unread" as const),
    fc.record({ unread: natural, mentions: natural, head: natural, n: natural })
  ),
  fc.tuple(
    fc.constant("Members" as const),
    fc.array(
      fc.record({
        channel: id,
        user: id,
        role: fc.constantFrom("owner" as const, "member" as const),
        from: natural,
        to: maybe,
        seq: natural
      })
    )
  ),
  fc.tuple(fc.constant("Standing" as const), fc.record({ position, revokedBefore: natural })),
  fc.tuple(
    fc.constant("Open" as const),
    fc.record({
      position,
      revokedBefore: natural,
      reload: fc.boolean(),
      personal: fc.array(wire),
      channels: fc.array(fc.record({ channel: id, cursor: position })),
      left: fc.array(fc.record({ channel: id, seq: natural }))
    })
  ),
  fc.tuple(fc.constant("Inbox" as const), fc.array(fc.record({ channel: id, seq: natural, place: natural }))),
  fc.tuple(fc.constantFrom("MoveCursor" as const, "MarkUnread" as const), cursorMoved),
  fc.tuple(
    fc.constant("Watch" as const),
    fc.record({ shard: natural, epoch: natural, n: natural, users: fc.array(presence) })
  ),
  fc.tuple(
    fc.constantFrom(
      "Typing" as const,
      "Receipt" as const,
      "Notice" as const,
      "Revoke" as const,
      "Report" as const,
      "InspectChannel" as const,
      "InspectSession" as const,
      "InspectPresence" as const
    ),
    plain
  )
)

export const attachArbitrary: fc.Arbitrary<Attach> = fc.record({
  shard: natural,
  edge: id,
  topics: fc.array(fc.record({ topic: id, users: ids }))
})
export const attachedArbitrary: fc.Arbitrary<Attached> = fc.record({
  shard: natural,
  epoch: natural,
  interestVersion: natural,
  topics: fc.array(fc.record({ topic: id, head: natural, generation: natural, denied: ids }))
})
export const detachArbitrary: fc.Arbitrary<Detach> = fc.record({ shard: natural, edge: id, topics: ids })

const item: fc.Arbitrary<LinkItem> = fc.oneof(
  fc.record({
    _tag: fc.constant("Event" as const),
    topic: id,
    from: natural,
    to: natural,
    body: wire,
    kind: id,
    originEdge: id,
    originConnection: natural,
    members: ids,
    readFanout: fc.boolean()
  }),
  fc.record({ _tag: fc.constant("Covered" as const), topic: id, from: natural, to: natural }),
  fc.record({
    _tag: fc.constant("Ephemeral" as const),
    topic: id,
    frame: wire,
    exceptUser: id,
    exceptConnection: natural
  }),
  fc.record({
    _tag: fc.constant("Presence" as const),
    topic: id,
    shard: natural,
    epoch: natural,
    n: natural,
    users: fc.array(presence)
  }),
  fc.record({
    _tag: fc.constant("Personal" as const),
    topic: id,
    seq: natural,
    kind: id,
    frame: wire,
    channel: id,
    channelSeq: natural,
    exceptConnection: natural,
    revokedBefore: natural
  })
)
export const linkMessageArbitrary: fc.Arbitrary<LinkMessage> = fc.record({
  owner: id,
  start: natural,
  edge: id,
  number: natural,
  items: fc.array(item),
  digest: fc.option(fc.array(fc.record({ shard: natural, epoch: natural, interestVersion: natural })), { nil: null })
})

const topic = fc.constantFrom("channel" as const, "user" as const)
export const hintArbitrary: fc.Arbitrary<Hint> = fc.oneof(
  fc.record({ _tag: fc.constant("Committed" as const), shards: fc.array(natural) }),
  fc
    .record({
      _tag: fc.constant("Stored" as const),
      shard: natural,
      position: natural,
      parked: fc.array(fc.record({ topic, id, count: natural }))
    })
    .map((stored) => ({ ...stored, parked: stored.parked.map((entity) => ({ ...entity, shard: stored.shard })) })),
  fc.record({
    _tag: fc.constant("Released" as const),
    entity: fc.record({ shard: natural, topic, id, seq: natural })
  }),
  fc.record({ _tag: fc.constant("Damaged" as const), shard: natural, what: text })
)

export const askedArbitrary: fc.Arbitrary<Asked> = fc.oneof(
  fc.record({
    _tag: fc.constant("Request" as const),
    id: natural,
    shard: natural,
    epoch: natural,
    request: requestArbitrary
  }),
  fc.record({ _tag: fc.constant("Attach" as const), id: natural, epoch: natural, attach: attachArbitrary }),
  fc.record({ _tag: fc.constant("Who" as const), shard: natural }),
  fc.record({ _tag: fc.constant("Detach" as const), detach: detachArbitrary }),
  fc.record({ _tag: fc.constant("Resend" as const), start: natural, edge: id, from: natural })
)
