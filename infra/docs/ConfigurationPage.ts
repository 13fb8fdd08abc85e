/**
 * docs/configuration.md, from the table of settings of the node. The module is found by its place and its shape is
 * checked here, because nothing outside of the apps may depend on one.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { Schema } from "effect"
import { table } from "./FieldTable.ts"

const SettingRow = Schema.Struct({
  flag: Schema.String,
  environment: Schema.String,
  default: Schema.String,
  unit: Schema.String,
  sentence: Schema.String,
  secret: Schema.Boolean
})
const SettingsModule = Schema.Struct({ settingsTable: Schema.Array(SettingRow) })

const intro = `<!-- Made by \`node infra/launch.mjs infra/docs/generate.ts\` from apps/node/src/NodeConfig.ts: change that, not this page. -->

# Configuration

Every setting of a node. A value comes from the flag if there is one, else from the environment, else it is the default.
A value that makes no sense stops the start with an error that names the setting. Secrets never show in logs; give them
by the environment, because flags can be seen by other users of the machine, or in a file that its variable with \`_FILE\`
after it names (\`PARLEY_AUTH_SECRET_FILE\`).
`

/** Undefined while the app has no table of settings. */
export const configurationPage = async (root: string): Promise<string | undefined> => {
  const path = join(root, "apps/node/src/NodeConfig.ts")
  if (!existsSync(path)) return undefined
  const { settingsTable } = Schema.decodeUnknownSync(SettingsModule)({ ...(await import(pathToFileURL(path).href)) })
  const rows = settingsTable.map((row) => [
    `\`${row.flag}\``,
    `\`${row.environment}\``,
    row.default === "" ? "" : `\`${row.default}\``,
    row.unit,
    row.secret ? `${row.sentence} Secret.` : row.sentence
  ])
  return `${intro}\n${table(["flag", "environment", "default", "unit or form", "meaning"], rows)}\n`
}
