import { createServer, type Server } from 'node:http'
import { diag } from '@opentelemetry/api'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import type { MetricReader } from '@opentelemetry/sdk-metrics'
import { positiveNumber, setting } from './settings.ts'

/** How long a restore that ended can still be scraped, where no other one begins. */
const SHOWN_AFTER_END_MS = 5 * 60_000

/** /metrics for a Prometheus that scrapes: one server a process, which shows the newest restore. */
export interface ScrapeEndpoint {
  /** A restore's own reader; it is the one shown from now on. */
  makeReader(): MetricReader
  /** The restore that is shown has ended. */
  ended(): void
  close(): void
}

/** `ready`: who sends is known; a look before that would go without it. */
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
      shown = new PrometheusExporter({ preventServerStart: true })
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
