/** A real browser without a window, and a host for its page, which takes what the page tells. */
import { type ChildProcess, spawn } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { createServer, type Server } from "node:http"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { aptInstall } from "../../infra/services/Command.ts"

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
const toldMsMax = 20_000

/** Where one is, after installing Debian's where this user may; or why there is none. */
export const findBrowser = async (): Promise<{ readonly path: string } | { readonly why: string }> => {
  const path = browserPath()
  if (path !== undefined) return { path }
  try {
    await aptInstall(["chromium"], process.env)
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) }
  }
  const installed = browserPath()
  return installed === undefined ? { why: "apt-get installed a chromium that is not in PATH" } : { path: installed }
}

const browserPath = (): string | undefined =>
  (process.env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })

export const openBrowser = (path: string, profile: string, url: string): ChildProcess =>
  spawn(
    path,
    ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", `--user-data-dir=${profile}`, url],
    { stdio: "ignore" }
  )

export class PageHost implements AsyncDisposable {
  readonly origin: string
  readonly #server: Server
  readonly #told = new Map<string, unknown>()
  #changed: () => void = () => {}

  private constructor(server: Server, origin: string) {
    this.#server = server
    this.origin = origin
  }

  static async start(): Promise<PageHost> {
    const bundle = await build({
      entryPoints: [fileURLToPath(new URL("page.ts", import.meta.url))],
      bundle: true,
      format: "esm",
      platform: "browser",
      target: "es2023",
      write: false,
      logLevel: "silent"
    })
    const script = bundle.outputFiles[0]?.text ?? ""
    const hosts: Array<PageHost> = []
    const server = createServer((request, response) => {
      const told = /^\/told\/(\w+)$/.exec(request.url ?? "")?.[1]
      if (told !== undefined) {
        let text = ""
        request.on("data", (chunk: Buffer) => (text += chunk.toString()))
        request.on("end", () => {
          response.end()
          hosts[0]?.take(told, JSON.parse(text))
        })
      } else if (request.url === "/page.js") {
        response.writeHead(200, { "content-type": "text/javascript" }).end(script)
      } else {
        response.writeHead(200, { "content-type": "text/html" })
        response.end('<!doctype html><meta charset="utf-8"><script type="module" src="/page.js"></script>')
      }
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const host = new PageHost(server, `http://127.0.0.1:${port}`)
    hosts.push(host)
    return host
  }

  take(what: string, data: unknown): void {
    this.#told.set(what, data)
    this.#changed()
  }

  /** What the page told under this name; a page that failed fails the test with its reason. */
  async told(what: string): Promise<unknown> {
    const late = setTimeout(() => this.take("failed", `nothing under ${what} within ${toldMsMax} ms`), toldMsMax)
    while (!this.#told.has(what) && !this.#told.has("failed")) {
      await new Promise<void>((resolve) => (this.#changed = resolve))
    }
    clearTimeout(late)
    if (!this.#told.has(what)) throw new Error(`the page failed: ${JSON.stringify(this.#told.get("failed"))}`)
    return this.#told.get(what)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
