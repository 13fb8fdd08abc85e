/**
 * Whom this process holds for the owner of each shard, and under which epoch: told by the runners of this process, by
 * announcements of others, by what an owner itself answers, and by the directory of leases where nobody has said
 * anything. A belief is used until it is refused or something newer is known; that it may be wrong does no harm, for
 * owners check it (†17). Plain TypeScript on the hot path: bench `remotecalls`.
 */
import type { LocalRunner } from "../owner/LocalRunner.ts"
import type { OwnerDirectory, ShardOwnership } from "./OwnerDirectory.ts"

export interface Route {
  readonly runner: string
  readonly epoch: number
  /** The owner is in this process. */
  readonly local: LocalRunner | undefined
}

export class OwnerMap {
  readonly #directory: OwnerDirectory["Service"]
  readonly #onRoute: (shard: number) => void
  readonly #routes: Array<Route | undefined>
  /** The highest epoch that an owner itself has named. */
  readonly #seen: Array<number>
  /** What the directory said when its owner refused: it has to say something else, or the owner to say that it serves. */
  readonly #refused: Array<ShardOwnership | undefined>
  readonly #unlisten: () => void

  /** `onRoute`: a shard's route has changed to another one. */
  constructor(options: {
    readonly shardCount: number
    readonly directory: OwnerDirectory["Service"]
    readonly onRoute: (shard: number) => void
  }) {
    this.#directory = options.directory
    this.#onRoute = options.onRoute
    this.#routes = Array.from({ length: options.shardCount + 1 }, () => undefined)
    this.#seen = Array.from({ length: options.shardCount + 1 }, () => 0)
    this.#refused = Array.from({ length: options.shardCount + 1 }, () => undefined)
    this.#unlisten = options.directory.onChange((shard, owner) => this.#listed(shard, owner))
  }

  stop(): void {
    this.#unlisten()
  }

  routeOf(shard: number): Route | undefined {
    return this.#routes[shard] ?? this.#learn(shard)
  }

  /** The shard is served by a runner of this process. */
  own(shard: number, runner: LocalRunner): void {
    const epoch = runner.epochOf(shard)
    this.#saw(shard, epoch)
    this.#set(shard, { runner: runner.name, epoch, local: runner })
  }

  disown(shard: number, runner: LocalRunner): void {
    const route = this.#routes[shard]
    if (route?.local === runner) this.refused(shard, route, 0)
  }

  /** A runner of another process says that it serves the shard. */
  announced(runner: string, shard: number, epoch: number): void {
    if (!(shard in this.#routes)) return
    const route = this.#routes[shard]
    const isListed = this.#directory.ownerOf(shard)?.runner === runner
    const isNewer =
      route === undefined
        ? isListed || epoch === 0 || epoch >= (this.#seen[shard] ?? 0)
        : route.runner === runner
          ? epoch > route.epoch
          : epoch > (this.#seen[shard] ?? 0)
    this.#saw(shard, epoch)
    if (isNewer) this.#set(shard, { runner, epoch, local: undefined })
  }

  /**
   * The owner said "not mine", and under which epoch it serves the shard itself (0: it does not). The lease's epoch may
   * be lower than the owner's, which is above that of the log's last record.
   */
  refused(shard: number, route: Route, epochThere: number): void {
    if (this.#routes[shard] !== route) return
    const epoch = route.local === undefined ? epochThere : route.local.epochOf(shard)
    if (epoch > route.epoch) {
      this.#saw(shard, epoch)
      this.#set(shard, { ...route, epoch })
      return
    }
    this.#routes[shard] = undefined
    const listed = this.#directory.ownerOf(shard)
    if (listed?.runner === route.runner) this.#refused[shard] = listed
    this.#directory.refresh(shard)
  }

  /** Nobody listens where this runner was asked; answers the shards that it was held for the owner of. */
  runnerGone(runner: string): void {
    this.#routes.forEach((route, shard) => {
      if (route !== undefined && route.local === undefined && route.runner === runner) this.refused(shard, route, 0)
    })
  }

  /** Who may be asked whether he serves the shard. */
  suspect(shard: number): string | undefined {
    return this.#directory.ownerOf(shard)?.runner
  }

  refresh(shard: number): void {
    this.#directory.refresh(shard)
  }

  #learn(shard: number): Route | undefined {
    const listed = this.#directory.ownerOf(shard)
    if (listed === undefined) return undefined
    const refused = this.#refused[shard]
    if (refused?.runner === listed.runner && refused.epoch === listed.epoch) return undefined
    const route: Route = { runner: listed.runner, epoch: listed.epoch, local: undefined }
    this.#routes[shard] = route
    return route
  }

  #listed(shard: number, owner: ShardOwnership | undefined): void {
    const route = this.#routes[shard]
    if (owner === undefined || route === undefined) {
      if (owner !== undefined && this.#learn(shard) !== undefined) this.#onRoute(shard)
      return
    }
    // The owner's own epoch may be above that of its lease.
    if (owner.runner === route.runner && owner.epoch <= route.epoch) return
    // A runner of this process says by itself when it serves the shard.
    if (owner.runner === route.local?.name) return
    this.#set(shard, { runner: owner.runner, epoch: owner.epoch, local: undefined })
  }

  #saw(shard: number, epoch: number): void {
    this.#seen[shard] = Math.max(this.#seen[shard] ?? 0, epoch)
  }

  #set(shard: number, route: Route): void {
    this.#routes[shard] = route
    this.#refused[shard] = undefined
    this.#onRoute(shard)
  }
}
