import { createRequire } from 'node:module'

/** An OTLP backend of another make (Elastic's), for protobuf and gRPC; what arrived is kept as it decoded it. */
export interface MockOtlpServer {
  httpUrl: string
  grpcUrl: string
  traces: unknown[]
  metrics: unknown[]
  logs: unknown[]
  close(): Promise<void>
}

/** The package has no types of its own. */
const { MockOtlpServer: Server } = createRequire(import.meta.url)('@elastic/mockotlpserver') as {
  MockOtlpServer: new (
    options: object,
  ) => { start(): Promise<void>; close(): Promise<void>; httpUrl: URL; grpcUrl: URL }
}

export async function startMockOtlpServer(): Promise<MockOtlpServer> {
  const [traces, metrics, logs]: [unknown[], unknown[], unknown[]] = [[], [], []]
  const server = new Server({
    services: ['http', 'grpc'],
    httpHostname: '127.0.0.1',
    grpcHostname: '127.0.0.1',
    httpPort: 0,
    grpcPort: 0,
    logLevel: 'fatal',
    onTrace: (message: unknown) => traces.push(message),
    onMetrics: (message: unknown) => metrics.push(message),
    onLogs: (message: unknown) => logs.push(message),
  })
  await server.start()
  const [httpUrl, grpcUrl] = [String(server.httpUrl), String(server.grpcUrl)]
  return { httpUrl, grpcUrl, traces, metrics, logs, close: () => server.close() }
}
