/** Starts Redis in the folder that is its argument, says so, and waits to be killed. */
import { startServices } from "../Services.ts"

const [data = ""] = process.argv.slice(2)
const { state } = await startServices({ data, redis: true, temporary: true })
console.log(JSON.stringify(state.nodes[0]?.launch))
setInterval(() => undefined, 60_000)
