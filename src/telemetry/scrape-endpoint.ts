import { createServer, type Server } from 'node:http'
import { diag } from '@opentelemetry/api'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import type { CollectionResult, MetricReader } from '@opentelemetry/sdk-metrics'
import { positiveNumber, setting } from './settings.ts'

/** How long an ended restore can still be scraped if no other one begins. */
const SHOWN_AFTER_END_MS = 5 * 60_000

/**
 * /metrics for a Prometheus that scrapes: one server a process, which shows the newest restore. Names and labels are
 * those that Prometheus gives to the same metrics when they arrive by OTLP (docs/telemetry.md).
 */
export interface ScrapeEndpoint {
  /** A reader for a new restore, which is shown from now on. */
  makeReader(): MetricReader
  /** The restore that is shown has ended: it disappears after five minutes. */
  ended(): void
  close(): void
}

/** `ready`: the resource is complete; requests wait for it. */
export function openScrapeEndpoint(env: NodeJS.ProcessEnv, ready: Promise<void> | undefined): ScrapeEndpoint {
  let shown: PrometheusExporter | null = null
  let forgetting: NodeJS.Timeout | undefined
  const server: Server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (pathname !== '/metrics') response.writeHead(404).end()
    else if (shown === null) response.writeHead(200, { 'content-type': 'text/plain' }).end()
    else {
      const exporter = shown
      void Promise.resolve(ready).finally(() => exporter.getMetricsRequestHandler(request, response))
    }
  })
  server.unref().on('error', error => diag.error(`metrics cannot be scraped: ${error.message}`))
  server.listen(
    positiveNumber(env, 'OTEL_EXPORTER_PROMETHEUS_PORT', 9464),
    setting(env, 'OTEL_EXPORTER_PROMETHEUS_HOST') ?? 'localhost',
  )
  return {
    makeReader() {
      clearTimeout(forgetting)
      shown = new PrometheusExporter({
        preventServerStart: true,
        withoutScopeInfo: true,
        withResourceConstantLabels: PROMOTED,
      })
      const collect = shown.collect.bind(shown)
      shown.collect = async options => withUnits(await collect(options))
      return shown
    },
    ended() {
      forgetting = setTimeout(() => {
        shown = null
      }, SHOWN_AFTER_END_MS).unref()
    },
    close() {
      clearTimeout(forgetting)
      server.close()
    },
  }
}

/** Resource attributes on every series: those that deploy/prometheus/prometheus.yml promotes for OTLP. */
const PROMOTED = /^(service\.version|host\.name|deployment\.environment\.name)$/

const UNITS: Readonly<Record<string, string>> = { '%': 'percent', s: 'seconds', By: 'bytes' }

/** The exporter adds no unit to a name, as OTLP ingestion does. It adds `_total` to a counter itself. */
function withUnits(result: CollectionResult): CollectionResult {
  const { resourceMetrics } = result
  const scopeMetrics = resourceMetrics.scopeMetrics.map(({ metrics, ...scope }) => ({
    ...scope,
    metrics: metrics.map(metric => {
      const { name, unit } = metric.descriptor
      const suffix = UNITS[unit]
      const descriptor = { ...metric.descriptor, unit: suffix ?? '', name: suffix ? `${name}.${suffix}` : name }
      return { ...metric, descriptor }
    }),
  }))
  return { ...result, resourceMetrics: { ...resourceMetrics, scopeMetrics } }
}
