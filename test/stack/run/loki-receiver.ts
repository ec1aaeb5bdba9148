import { createServer, request } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { createGunzip } from 'node:zlib'

/** Answers at Loki's OTLP address and keeps what came. (Loki itself is not run: see docs/observability.md.) */
export interface LokiReceiver {
  port: number
  records: ReceivedLog[]
  stop(): Promise<void>
}

export interface ReceivedLog {
  eventName: string | undefined
  severity: number
  body: string
  traceId: string
  attributes: Record<string, unknown>
  resource: Record<string, unknown>
}

interface OtlpValue {
  stringValue?: string
  intValue?: string | number | bigint
  doubleValue?: number
  boolValue?: boolean
}
type OtlpAttributes = { key: string; value: OtlpValue }[]
interface OtlpLogs {
  resourceLogs: {
    resource: { attributes: OtlpAttributes }
    scopeLogs: {
      logRecords: {
        eventName?: string
        severityNumber: number
        body?: OtlpValue
        traceId: Uint8Array
        attributes: OtlpAttributes
      }[]
    }[]
  }[]
}

const scalar = (value: OtlpValue | undefined) =>
  value?.stringValue ?? value?.intValue ?? value?.doubleValue ?? value?.boolValue
const plain = (attributes: OtlpAttributes) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, scalar(value)]))

export async function startLokiReceiver(): Promise<LokiReceiver> {
  const { MockOtlpServer } = createRequire(import.meta.url)('@elastic/mockotlpserver')
  const records: ReceivedLog[] = []
  const decoder = new MockOtlpServer({
    logLevel: 'error',
    services: ['http'],
    httpHostname: '127.0.0.1',
    httpPort: 0,
    onLogs: ({ resourceLogs }: OtlpLogs) => {
      for (const { resource, scopeLogs } of resourceLogs)
        for (const { logRecords } of scopeLogs)
          for (const record of logRecords)
            records.push({
              eventName: record.eventName,
              severity: record.severityNumber,
              body: String(scalar(record.body)),
              traceId: Buffer.from(record.traceId).toString('hex'),
              attributes: plain(record.attributes),
              resource: plain(resource.attributes),
            })
    },
  })
  await decoder.start()
  // Loki takes OTLP under /otlp; the decoder at the root.
  const front = createServer((asked, answer) => {
    if (asked.url !== '/otlp/v1/logs') return void answer.writeHead(404).end()
    const headers = { 'content-type': asked.headers['content-type'] }
    const passed = request(`${decoder.httpUrl}v1/logs`, { method: 'POST', headers }, got => {
      answer.writeHead(got.statusCode!, got.headers)
      got.pipe(answer)
    })
    asked.pipe(asked.headers['content-encoding'] === 'gzip' ? createGunzip() : new PassThrough()).pipe(passed)
  })
  await new Promise<void>(resolve => front.listen(0, '127.0.0.1', resolve))
  return {
    port: (front.address() as AddressInfo).port,
    records,
    async stop() {
      front.closeAllConnections()
      front.close()
      await decoder.close()
    },
  }
}
