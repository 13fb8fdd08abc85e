/**
 * What is installed for the services, kept in the user's cache for all projects and runs. An installation is built beside
 * its place and moved there when it is complete: one that was interrupted is not taken for a whole one, and of two
 * at once the first counts.
 */
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises"
import { homedir } from "node:os"
import { join } from "node:path"

/** `PARLEY_SERVICES_CACHE`, or `parley/services` in the user's cache directory. */
export const cacheFolder = (environment: NodeJS.ProcessEnv): string => {
  const own = environment["PARLEY_SERVICES_CACHE"]
  if (own !== undefined && own !== "") return own
  const caches = environment["XDG_CACHE_HOME"]
  return join(caches === undefined || caches === "" ? join(homedir(), ".cache") : caches, "parley", "services")
}

/** The folder of `name`, such as `nats-2.15.1`; `build` fills it if it is not there. */
export const installed = async (
  cache: string,
  name: string,
  build: (folder: string) => Promise<void>
): Promise<string> => {
  const place = join(cache, name)
  if (existsSync(place)) return place
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, `${name}.building-`))
  try {
    await build(folder)
    await rename(folder, place).catch((error) => {
      if (!existsSync(place)) throw error
    })
    return place
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
