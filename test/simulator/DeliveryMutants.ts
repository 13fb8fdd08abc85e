/** Broken builds of edges, links and the member fan-out: what people are shown. */
import type { Mutant } from "./Mutants.ts"

const fanout = "libs/actors/src/fanout"
const edge = "apps/node/src/edge"

export const deliveryMutants: ReadonlyArray<Mutant> = [
  {
    name: "live-before-sync",
    rule: "†8",
    file: `${edge}/EdgeTopics.ts`,
    find: "      if (at > to && at <= until) this.#options.outbound.push(connection, frame, false)",
    put: "      if (at === -1) this.#options.outbound.push(connection, frame, false)",
    seedsMax: 80
  },
  {
    name: "no-resend",
    rule: "†9",
    file: `${fanout}/EdgeLinkState.ts`,
    find: "    if (last > this.#received) {",
    put: "    if (last < 0) {",
    seedsMax: 160
  },
  {
    name: "move-unnoticed",
    rule: "†9",
    file: `${edge}/Interest.ts`,
    find: "      if (epoch > interest.epoch) this.#moved(interest, epoch)\n      else if",
    put: "      if (epoch > interest.epoch) interest.epoch = epoch\n      if",
    seedsMax: 400
  },
  {
    name: "delivers-over-holes",
    rule: "†9",
    file: `${fanout}/TopicSequence.ts`,
    find: "    if (this.#delivered >= 0 && item.from <= this.#delivered) {",
    put: "    if (this.#delivered >= 0 && (item.from <= this.#delivered || this.#held === null)) {",
    seedsMax: 160
  },
  {
    name: "live-after-removal",
    rule: "†15",
    file: `${edge}/EdgeTopics.ts`,
    find: "        if (late === undefined || (late.held === null && late.from < at)) {",
    put: "        if (late === undefined) continue\n        if (late.held === null && late.from < at) {",
    seedsMax: 40
  },
  {
    name: "added-not-told",
    rule: "†12",
    file: `${fanout}/Notices.ts`,
    find: '    case "created":\n    case "added":\n',
    put: '    case "added":\n      return []\n    case "created":\n',
    seedsMax: 40
  }
]
