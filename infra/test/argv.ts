/** What `launch.test.ts` launches: prints its file name and arguments, and ends with a code of its own. */
import { basename } from "node:path"

const [, file = "", ...args] = process.argv
console.log(JSON.stringify([basename(file), ...args]))
process.exitCode = 3
