import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import { emptyResource } from '@opentelemetry/resources'
import { scrubText } from '../secrets.ts'
import { OTLP_EXPORTERS } from './exporters.ts'
import { withProcessEnv } from './sdk.ts'
import type { Protocol, Signal } from './settings.ts'

/** Sends an export without content. Resolves with the error, or null if the backend took it within `timeoutMs`. */
export async function sendEmptyExport(
  env: NodeJS.ProcessEnv,
  signal: Signal,
  protocol: Protocol,
  timeoutMs: number,
): Promise<string | null> {
  const exporter = withProcessEnv(env, () => makeExporter(signal, protocol, timeoutMs))
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>(resolve => {
    timer = setTimeout(resolve, timeoutMs, `no answer within ${timeoutMs / 1000} s`)
  })
  const answer = new Promise<ExportResult>(exporter.send).then(({ code, error }) =>
    code === ExportResultCode.SUCCESS ? null : scrubText(describe(error)),
  )
  const result = await Promise.race([answer, late])
  clearTimeout(timer)
  // Not awaited: it waits for requests that are under way.
  exporter.shutdown().catch(() => undefined)
  return result
}

type Send = (resolve: (result: ExportResult) => void) => void

function makeExporter(signal: Signal, protocol: Protocol, timeoutMillis: number) {
  if (signal === 'metrics') {
    const exporter = new OTLP_EXPORTERS.metrics[protocol]({ timeoutMillis })
    const nothing = { resource: emptyResource(), scopeMetrics: [] }
    return { send: (resolve => exporter.export(nothing, resolve)) as Send, shutdown: () => exporter.shutdown() }
  }
  const exporter = new OTLP_EXPORTERS[signal][protocol]({ timeoutMillis })
  return { send: (resolve => exporter.export([], resolve)) as Send, shutdown: () => exporter.shutdown() }
}

/** The exporter gives an HTTP error's status in `code` and its reason phrase as message. */
function describe(error: (Error & { code?: unknown }) | undefined): string {
  if (!error) return 'the export failed'
  return typeof error.code === 'number' ? `HTTP ${error.code} ${error.message}` : error.message
}
