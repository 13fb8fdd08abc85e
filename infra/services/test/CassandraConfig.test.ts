import { expect, it } from "vitest"
import { type CassandraNodeConfig, cassandraYaml, javaArguments, tokenOf } from "../CassandraConfig.ts"

const node: CassandraNodeConfig = {
  clusterName: "parley-1",
  folder: "/data/a b",
  host: "127.0.0.2",
  cqlPort: 20_001,
  storagePort: 20_002,
  jmxPort: 20_003,
  seeds: ["127.0.0.1", "127.0.0.2"],
  token: tokenOf(1, 3),
  heap: "384m",
  brief: false
}

it("a ring's tokens are even shares of the whole", () => {
  const tokens = [0, 1, 2].map((index) => tokenOf(index, 3))
  expect(tokens[0]).toBe(-(2n ** 63n) + 1n)
  expect(tokens.map((token, index) => token - (tokens[index - 1] ?? token))).toEqual([
    0n,
    2n ** 64n / 3n,
    2n ** 64n / 3n
  ])
})

it("seeds have the port of this ring, so that another one on the same addresses is not joined", () => {
  expect(cassandraYaml(node)).toContain('"seeds":"127.0.0.1:20002,127.0.0.2:20002"')
})

it("files are named by address, whatever characters their folder has", () => {
  expect(javaArguments(node, "/lib/*", undefined)).toContain(
    "-Dcassandra.config=file:///data/a%20b/conf/cassandra.yaml"
  )
  expect(cassandraYaml(node)).toContain('data_file_directories: ["/data/a b/data"]')
})
