/**
 * Patches one of the product's files as it is loaded, for mutants: no branch for tests is in the product itself. A patch
 * whose text is not there exactly once stops the process, so that no mutant goes stale unseen. Also puts the simulator's
 * socket where the wire tests use `ws`.
 */
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { type Mutant, mutants } from "./Mutants.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const simSocket = new URL("SimSocket.ts", import.meta.url).href

export const patched = (source: string, { file, find, name, put }: Mutant): string => {
  const parts = source.split(find)
  if (parts.length !== 2) throw new Error(`mutant ${name}: its text is ${parts.length - 1} times in ${file}`)
  return parts.join(put)
}

/** Before anything of the product is loaded. `name`: undefined for the product as it is. */
export const applyMutant = (name: string | undefined): void => {
  const mutant = mutants.find((one) => one.name === name)
  if (name !== undefined && mutant === undefined) throw new Error(`there is no mutant ${name}`)
  const url = mutant === undefined ? undefined : pathToFileURL(root + mutant.file).href
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "ws" && context.parentURL?.endsWith("/test/wire/WireSocket.ts") === true
        ? { url: simSocket, shortCircuit: true }
        : next(specifier, context),
    load: (loaded, context, next) =>
      mutant === undefined || loaded !== url
        ? next(loaded, context)
        : {
            format: "module-typescript",
            shortCircuit: true,
            source: patched(readFileSync(fileURLToPath(loaded), "utf8"), mutant)
          }
  })
}
