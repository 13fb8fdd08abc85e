/** Where a process runs, if not on this machine's loopback: its address, and what is put before its command. */

export interface Site {
  readonly host: string
  /** Such as `nsenter --net=… --`; it becomes the command, as `exec` does. */
  readonly enter: ReadonlyArray<string>
}

/** By name, such as `nats-2`; none: as without. */
export type SiteOf = (name: string) => Site | undefined

/** A command at its site. */
export const atSite = (
  site: Site | undefined,
  command: string,
  args: ReadonlyArray<string>
): { readonly command: string; readonly args: ReadonlyArray<string> } => {
  const [first, ...rest] = [...(site?.enter ?? []), command, ...args]
  return { command: first ?? command, args: rest }
}
