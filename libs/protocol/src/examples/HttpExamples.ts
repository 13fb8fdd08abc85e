/** One realistic call of each endpoint, as it is on the wire: path with query, bodies of request and answer. */
import type {
  TokenAnswer,
  TokenRequest,
  UserProfile,
  UserPut,
  RevokeAnswer,
  RevokeRequest,
  MembersPage,
  NotReady,
  ParkedList,
  ParkedRetried,
  Alive,
  ClusterStatus,
  EdgeList
} from "../HttpApi.ts"
import { answerExamples, headExample } from "./AnswerExamples.ts"
import { opExamples } from "./OpExamples.ts"

export interface HttpExample {
  readonly method: string
  readonly path: string
  readonly request?: unknown
  readonly status: number
  readonly answer: unknown
}

const path = "/v1/channels/group:engineering"

/** By group and endpoint. */
export const httpExamples = {
  "tokens.create": {
    method: "POST",
    path: "/v1/tokens",
    request: { user: "linus", ttl_s: 86_400 } satisfies (typeof TokenRequest)["Encoded"],
    status: 201,
    answer: { token: opExamples.hello.token, expires_at: 1795615200000 } satisfies (typeof TokenAnswer)["Encoded"]
  },
  "edges.list": {
    method: "GET",
    path: "/v1/edges?zone=a",
    status: 200,
    answer: {
      edges: [
        { url: "https://a1.chat.example.com", zone: "a" },
        { url: "https://b1.chat.example.com", zone: "b" }
      ]
    } satisfies (typeof EdgeList)["Encoded"]
  },
  "users.get": {
    method: "GET",
    path: "/v1/users/linus",
    status: 200,
    answer: { user: "linus", name: "Linus", created_at: 1795442400000 } satisfies (typeof UserProfile)["Encoded"]
  },
  "users.put": {
    method: "PUT",
    path: "/v1/users/linus",
    request: { name: "Linus" } satisfies (typeof UserPut)["Encoded"],
    status: 200,
    answer: { user: "linus", name: "Linus", created_at: 1795442400000 } satisfies (typeof UserProfile)["Encoded"]
  },
  "users.revoke": {
    method: "POST",
    path: "/v1/users/linus/revoke",
    request: {
      cid: "01a20ddc-5bf8-7379-b1b7-8a7f5e4d3c09",
      before: 1795528875
    } satisfies (typeof RevokeRequest)["Encoded"],
    status: 200,
    answer: { before: 1795528875 } satisfies (typeof RevokeAnswer)["Encoded"]
  },
  "channels.create": {
    method: "POST",
    path: "/v1/channels",
    request: {
      cid: opExamples.create.cid,
      channel: "group:engineering",
      name: "Engineering",
      topic: "What we build",
      members: ["grace"]
    },
    status: 201,
    answer: answerExamples.create
  },
  "channels.get": { method: "GET", path, status: 200, answer: headExample },
  "channels.update": {
    method: "PATCH",
    path,
    request: { cid: opExamples.update.cid, topic: "What we build, and why" },
    status: 200,
    answer: answerExamples.update
  },
  "channels.join": {
    method: "POST",
    path: "/v1/channels/public:lobby/join",
    request: { cid: opExamples.join.cid },
    status: 200,
    answer: answerExamples.join
  },
  "channels.leave": {
    method: "POST",
    path: `${path}/leave`,
    request: { cid: opExamples.leave.cid },
    status: 200,
    answer: answerExamples.leave
  },
  "members.list": {
    method: "GET",
    path: `${path}/members?limit=2`,
    status: 200,
    answer: {
      members: [
        { user: "ada", role: "owner", since: 1 },
        { user: "grace", role: "member", since: 1 }
      ],
      more: "grace"
    } satisfies (typeof MembersPage)["Encoded"]
  },
  "members.add": {
    method: "POST",
    path: `${path}/members`,
    request: { cid: opExamples.add_members.cid, members: ["linus"] },
    status: 200,
    answer: answerExamples.add_members
  },
  "members.remove": {
    method: "DELETE",
    path: `${path}/members/grace?cid=${opExamples.remove_members.cid}`,
    status: 200,
    answer: answerExamples.remove_members
  },
  "messages.send": {
    method: "POST",
    path: `${path}/messages`,
    request: { cid: opExamples.send.cid, text: opExamples.send.text, mentions: ["grace"] },
    status: 201,
    answer: answerExamples.send
  },
  "messages.edit": {
    method: "PATCH",
    path: `${path}/messages/6`,
    request: { cid: opExamples.edit.cid, text: opExamples.edit.text, mentions: ["grace"] },
    status: 200,
    answer: answerExamples.edit
  },
  "messages.delete": {
    method: "DELETE",
    path: `${path}/messages/6?cid=${opExamples.delete.cid}`,
    status: 200,
    answer: answerExamples.delete
  },
  "messages.history": {
    method: "GET",
    path: `${path}/messages?before=7&limit=2`,
    status: 200,
    answer: answerExamples.history
  },
  "operations.inspect": {
    method: "GET",
    path: "/v1/inspect/channel/group%3Aengineering",
    status: 200,
    answer: {
      kind: "channel",
      id: "group:engineering",
      shard: 5,
      epoch: 1795530194,
      committed: 4821,
      members: 12,
      fanout: "write"
    }
  },
  "cluster.status": {
    method: "GET",
    path: "/v1/cluster",
    status: 200,
    answer: {
      cluster: "chat",
      runners: [
        { runner: "a1-3f9a52c07d11", state: "active", shards: 1, cordoned: false, load: 240.5, heard_ms: 412 },
        { runner: "a2-90be14d7aa03", state: "draining", shards: 1, cordoned: true, load: 12, heard_ms: 95 }
      ],
      edges: [
        {
          edge: "a1-3f9a52c07d11",
          url: "https://a1.chat.example.com",
          zone: "a",
          connections: 8123,
          open: true,
          heard_ms: 412
        }
      ],
      shards: [
        { shard: 1, runner: "a1-3f9a52c07d11", epoch: 1207, wanted: "", balanced: false, load: 240.5, hot: true },
        {
          shard: 2,
          runner: "a2-90be14d7aa03",
          epoch: 1198,
          wanted: "a1-3f9a52c07d11",
          balanced: false,
          load: 12,
          hot: false
        }
      ]
    } satisfies (typeof ClusterStatus)["Encoded"]
  },
  "cluster.cordon": {
    method: "PUT",
    path: "/v1/cluster/runners/a2-90be14d7aa03/cordon",
    status: 200,
    answer: { done: true }
  },
  "cluster.leave": {
    method: "PUT",
    path: "/v1/cluster/edges/a2-90be14d7aa03/leaving",
    status: 200,
    answer: { done: true }
  },
  "cluster.comeBack": {
    method: "DELETE",
    path: "/v1/cluster/edges/a2-90be14d7aa03/leaving",
    status: 200,
    answer: { done: true }
  },
  "cluster.uncordon": {
    method: "DELETE",
    path: "/v1/cluster/runners/a2-90be14d7aa03/cordon",
    status: 200,
    answer: { done: true }
  },
  "cluster.move": {
    method: "PUT",
    path: "/v1/cluster/shards/2/runner/a1-3f9a52c07d11",
    status: 200,
    answer: { done: true }
  },
  "cluster.release": { method: "DELETE", path: "/v1/cluster/shards/2/runner", status: 200, answer: { done: true } },
  "parked.list": {
    method: "GET",
    path: "/v1/parked?limit=100",
    status: 200,
    answer: {
      events: [
        {
          consumer: "persister",
          topic: "channel",
          id: "group:engineering",
          generation: 1,
          seq: 4821,
          kind: "message",
          why: "string or blob too big",
          parked_at: 1795530194000
        }
      ]
    } satisfies (typeof ParkedList)["Encoded"]
  },
  "parked.retry": {
    method: "POST",
    path: "/v1/parked/persister/channel/group%3Aengineering/retry",
    status: 200,
    answer: { written: 0, left: 3, why: "string or blob too big" } satisfies (typeof ParkedRetried)["Encoded"]
  },
  "parked.drop": {
    method: "DELETE",
    path: "/v1/parked/persister/channel/group%3Aengineering/4821",
    status: 200,
    answer: { written: 2, left: 0, why: "" } satisfies (typeof ParkedRetried)["Encoded"]
  },
  "health.live": {
    method: "GET",
    path: "/livez",
    status: 200,
    answer: { alive: true } satisfies (typeof Alive)["Encoded"]
  },
  "health.ready": {
    method: "GET",
    path: "/readyz",
    status: 503,
    answer: { ready: false, reasons: ["the log can't be reached"] } satisfies (typeof NotReady)["Encoded"]
  }
} as const satisfies { readonly [endpoint: string]: HttpExample }
