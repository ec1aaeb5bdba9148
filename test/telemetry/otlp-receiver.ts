import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'

/** A real OTLP/HTTP backend that keeps what arrived (http/json), and can be told to misbehave at any time. */
export type Misbehaviour =
  | 'none'
  /** Destroys every connection; `refusingUrl` is one that has no listener at all. */
  | 'refuse'
  /** Reads requests and never answers. */
  | 'hang'
  | 'status_500'
  | 'status_503'
  /** Takes everything, answers 200 with bytes that are no OTLP. */
  | 'garbage_body'
  /** Answers with bytes that are no HTTP. */
  | 'garbage_http'
  /** Takes everything and answers after 800 ms. */
  | 'slow'

export interface KeyValue {
  key: string
  value: { stringValue?: string; intValue?: number | string; doubleValue?: number; boolValue?: boolean }
}
export interface Point {
  attributes?: KeyValue[]
  timeUnixNano: string
  startTimeUnixNano?: string
  asInt?: number | string
  asDouble?: number
  count?: number | string
  sum?: number
  bucketCounts?: (number | string)[]
  explicitBounds?: number[]
}
export interface Metric {
  name: string
  unit: string
  gauge?: { dataPoints: Point[] }
  sum?: { dataPoints: Point[]; isMonotonic?: boolean; aggregationTemporality: number }
  histogram?: { dataPoints: Point[]; aggregationTemporality: number }
}
export interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  traceState?: string
  name: string
  flags?: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: KeyValue[]
  links?: { traceId: string; spanId: string }[]
  status: { code: number; message?: string }
}
export interface LogRecord {
  timeUnixNano: string
  severityNumber: number
  severityText?: string
  eventName?: string
  body: { stringValue: string }
  attributes: KeyValue[]
  traceId?: string
  spanId?: string
}
interface Resource {
  attributes: KeyValue[]
}
export interface Received {
  resourceSpans: { resource: Resource; scopeSpans: { scope: { name: string }; spans: Span[] }[] }[]
  resourceMetrics: { resource: Resource; scopeMetrics: { metrics: Metric[] }[] }[]
  resourceLogs: { resource: Resource; scopeLogs: { logRecords: LogRecord[] }[] }[]
}

export interface OtlpReceiver extends Received {
  /** To be used as OTEL_EXPORTER_OTLP_ENDPOINT. */
  url: string
  misbehave(how: Misbehaviour): void
  /** Every request, also those that were not taken. */
  requests: { path: string; headers: IncomingMessage['headers']; body: string }[]
  /** What arrived, in order of arrival. Each export of the metrics is a list of its own. */
  spans(): Span[]
  logs(): LogRecord[]
  exports(): Metric[][]
  /** Resolves when `seen` holds; rejects after `timeoutMs` (5 s). */
  until(seen: () => boolean, timeoutMs?: number): Promise<void>
  close(): Promise<void>
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const received: Received = { resourceSpans: [], resourceMetrics: [], resourceLogs: [] }
  const requests: OtlpReceiver['requests'] = []
  const sockets = new Set<Socket>()
  let behaviour: Misbehaviour = 'none'

  const take = (body: string) => {
    const message = JSON.parse(body) as Partial<Received>
    received.resourceSpans.push(...(message.resourceSpans ?? []))
    received.resourceMetrics.push(...(message.resourceMetrics ?? []))
    received.resourceLogs.push(...(message.resourceLogs ?? []))
  }

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    const body = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString()
    requests.push({ path: request.url ?? '', headers: request.headers, body })
    switch (behaviour) {
      case 'refuse':
        request.socket.destroy()
        return
      case 'hang':
        return
      case 'status_500':
      case 'status_503':
        response.writeHead(Number(behaviour.slice(-3))).end('not now')
        return
      case 'garbage_http':
        request.socket.end('\x00\x01 this is no HTTP\r\n\r\n')
        return
      case 'slow':
        await sleep(800)
    }
    take(body)
    const reply = behaviour === 'garbage_body' ? '\x00<html>{{{' : '{}'
    response.writeHead(200, { 'content-type': 'application/json' }).end(reply)
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => request.socket.destroy())
  })
  server.on('connection', socket => {
    if (behaviour === 'refuse') socket.destroy()
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))

  return {
    ...received,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    misbehave(how) {
      behaviour = how
    },
    spans: () => received.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    logs: () => received.resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords)),
    exports: () => received.resourceMetrics.map(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics)),
    async until(seen, timeoutMs = 5000) {
      for (const deadline = Date.now() + timeoutMs; !seen(); await sleep(20))
        if (Date.now() > deadline) throw new Error(`not seen within ${timeoutMs} ms: ${seen}`)
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

/** The URL of a port nobody listens on: connections are refused. */
export async function refusingUrl(): Promise<string> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

/** Attributes as a plain object. */
export const attributesOf = ({ attributes = [] }: { attributes?: KeyValue[] }): Record<string, unknown> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      value.stringValue ??
        value.boolValue ??
        (value.intValue === undefined ? value.doubleValue : Number(value.intValue)),
    ]),
  )

/** All points of a metric, whatever its kind. */
export const pointsOf = (metric: Metric | undefined): Point[] =>
  metric?.gauge?.dataPoints ?? metric?.sum?.dataPoints ?? metric?.histogram?.dataPoints ?? []

export const numberOf = (point: Point): number => Number(point.asInt ?? point.asDouble)
