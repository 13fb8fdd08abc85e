/**
 * A runner on another host, as a caller has it: requests and answers go over the simulated network, and silence counts as
 * "not mine", so that the caller tries again with the same request, as the bus does it.
 */
import type { LocalRunner } from "@parley/actors/owner/LocalRunner"
import type { Attach, Attached, Detach, OwnerReply, OwnerRequest } from "@parley/actors/owner/OwnerProtocol"
import type { SimNetwork } from "./SimNetwork.ts"
import { type SimProcess, virtualTime } from "./VirtualTime.ts"

/** Longest wait for an answer before the same is asked again. */
const answerWaitMs = 4_000
/** How soon a caller knows that nobody answers on a subject. */
const nobodyMs = 5

export class RemoteRunner implements LocalRunner {
  readonly name: string
  readonly #network: SimNetwork
  readonly #process: SimProcess
  readonly #runner: LocalRunner
  readonly #shard: number
  readonly #epoch: number

  constructor(network: SimNetwork, process: SimProcess, runner: LocalRunner, shard: number, epoch: number) {
    this.name = runner.name
    this.#network = network
    this.#process = process
    this.#runner = runner
    this.#shard = shard
    this.#epoch = epoch
  }

  epochOf(shard: number): number {
    return shard === this.#shard ? this.#epoch : 0
  }

  serves(shard: number): boolean {
    return shard === this.#shard
  }

  request(
    shard: number,
    epoch: number,
    request: OwnerRequest,
    reply: (reply: OwnerReply<unknown>) => void,
    notMine: () => void
  ): void {
    // A connection repeats nothing by itself; what a caller repeats is a try of its own, after the first.
    const once = request._tag === "Mutate"
    this.#ask((answer, refuse) => this.#runner.request(shard, epoch, request, answer, refuse), reply, notMine, once)
  }

  attach(epoch: number, attach: Attach, reply: (reply: OwnerReply<Attached>) => void, notMine: () => void): void {
    this.#ask<Attached>((answer, refuse) => this.#runner.attach(epoch, attach, answer, refuse), reply, notMine)
  }

  detach(detach: Detach): void {
    this.#network.send(virtualTime().current.host, this.#process, () => this.#runner.detach(detach))
  }

  resend(start: number, edge: string, from: number): void {
    this.#network.send(virtualTime().current.host, this.#process, () => this.#runner.resend(start, edge, from))
  }

  #ask<A>(
    ask: (answer: (reply: OwnerReply<A>) => void, refuse: () => void) => void,
    reply: (reply: OwnerReply<A>) => void,
    notMine: () => void,
    once = false
  ): void {
    const time = virtualTime()
    const asker = time.current
    let open = true
    const end = (told: () => void) => {
      if (!open) return
      open = false
      timer.cancelled = true
      told()
    }
    const timer = time.after(this.#process.alive ? answerWaitMs : nobodyMs, asker, () => end(notMine))
    const handle = () =>
      ask(
        (answer) => this.#network.send(this.#process.host, asker, () => end(() => reply(answer))),
        () => this.#network.send(this.#process.host, asker, () => end(notMine))
      )
    this.#network.send(asker.host, this.#process, handle, once)
  }
}
