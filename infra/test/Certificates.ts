/** An authority of a test's own and certificates that it signs, made by openssl when the test runs, good for a day. */
import { execFileSync } from "node:child_process"
import { join } from "node:path"

export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
}

export interface Authority {
  readonly caFile: string
  /** For 127.0.0.1, of a server or a client. */
  issue(name: string): Certificate
}

const openssl = (...args: ReadonlyArray<string>): void => void execFileSync("openssl", args, { stdio: "ignore" })

const fresh = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]

/** In a folder that the test removes. */
export const makeAuthority = (folder: string, name = "authority"): Authority => {
  const [caFile, caKey] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
  openssl(...fresh, "-keyout", caKey, "-out", caFile, "-subj", `/CN=${name}`)
  return {
    caFile,
    issue: (own) => {
      const [certFile, keyFile] = [join(folder, `${name}-${own}.pem`), join(folder, `${name}-${own}.key`)]
      const signed = ["-CA", caFile, "-CAkey", caKey, "-keyout", keyFile, "-out", certFile, "-subj", `/CN=${own}`]
      const extensions = ["subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE"]
      openssl(...fresh, ...signed, ...extensions.flatMap((extension) => ["-addext", extension]))
      return { certFile, keyFile }
    }
  }
}
