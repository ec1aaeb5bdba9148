import { OTLPLogExporter as LogGrpc } from '@opentelemetry/exporter-logs-otlp-grpc'
import { OTLPLogExporter as LogJson } from '@opentelemetry/exporter-logs-otlp-http'
import { OTLPLogExporter as LogProtobuf } from '@opentelemetry/exporter-logs-otlp-proto'
import { OTLPMetricExporter as MetricGrpc } from '@opentelemetry/exporter-metrics-otlp-grpc'
import { OTLPMetricExporter as MetricJson } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPMetricExporter as MetricProtobuf } from '@opentelemetry/exporter-metrics-otlp-proto'
import { OTLPTraceExporter as TraceGrpc } from '@opentelemetry/exporter-trace-otlp-grpc'
import { OTLPTraceExporter as TraceJson } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as TraceProtobuf } from '@opentelemetry/exporter-trace-otlp-proto'
import type { LogRecordProcessor } from '@opentelemetry/sdk-logs'
import { BatchLogRecordProcessor } from '@opentelemetry/sdk-logs'
import type { MetricReader, PushMetricExporter } from '@opentelemetry/sdk-metrics'
import { AggregationTemporality, InstrumentType, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import type { SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace'
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace'
import { positiveNumber, type Settings } from './settings.ts'

/**
 * Exporters by signal and protocol, and the processors and readers that feed them. All of them read endpoint, headers,
 * timeout, compression and certificates from process.env while they are made, so make them under `withProcessEnv`.
 */
export const OTLP_EXPORTERS = {
  traces: { 'http/protobuf': TraceProtobuf, 'http/json': TraceJson, grpc: TraceGrpc },
  metrics: { 'http/protobuf': MetricProtobuf, 'http/json': MetricJson, grpc: MetricGrpc },
  logs: { 'http/protobuf': LogProtobuf, 'http/json': LogJson, grpc: LogGrpc },
} as const

export interface Processors {
  spanProcessors: SpanProcessor[]
  logRecordProcessors: LogRecordProcessor[]
}

export function makeProcessors(
  { signals }: Settings,
  env: NodeJS.ProcessEnv,
  withReceipts: (exporter: SpanExporter) => SpanExporter,
): Processors {
  const { traces, logs } = signals
  return {
    spanProcessors: traces
      ? [
          new BatchSpanProcessor({
            exporter: withReceipts(new OTLP_EXPORTERS.traces[traces.protocol]()),
            ...batching(env, 'BSP'),
          }),
        ]
      : [],
    logRecordProcessors: logs
      ? [new BatchLogRecordProcessor({ exporter: new OTLP_EXPORTERS.logs[logs.protocol](), ...batching(env, 'BLRP') })]
      : [],
  }
}

/** `scraped` makes the reader of the /metrics endpoint, which the process has once. */
export function makeMetricReaders(
  { signals: { metrics } }: Settings,
  env: NodeJS.ProcessEnv,
  scraped: () => MetricReader,
): MetricReader[] {
  if (!metrics) return []
  return metrics.exporters.map(name =>
    withAbsentGauges(
      name === 'prometheus' ? scraped() : periodicReader(new OTLP_EXPORTERS.metrics[metrics.protocol](), env),
    ),
  )
}

/** The specification's defaults, except that spans are sent after 1 s, so that a kill loses few. */
function batching(env: NodeJS.ProcessEnv, kind: 'BSP' | 'BLRP') {
  const maxQueueSize = positiveNumber(env, `OTEL_${kind}_MAX_QUEUE_SIZE`, 2048)
  return {
    maxQueueSize,
    maxExportBatchSize: Math.min(positiveNumber(env, `OTEL_${kind}_MAX_EXPORT_BATCH_SIZE`, 512), maxQueueSize),
    scheduledDelayMillis: positiveNumber(env, `OTEL_${kind}_SCHEDULE_DELAY`, 1000),
    exportTimeoutMillis: positiveNumber(env, `OTEL_${kind}_EXPORT_TIMEOUT`, 30_000),
  }
}

/** Every 10 s by default. The reader refuses a timeout longer than its interval. */
function periodicReader(exporter: PushMetricExporter, env: NodeJS.ProcessEnv): MetricReader {
  const exportIntervalMillis = positiveNumber(env, 'OTEL_METRIC_EXPORT_INTERVAL', 10_000)
  const timeoutMillis = positiveNumber(env, 'OTEL_METRIC_EXPORT_TIMEOUT', 30_000)
  const exportTimeoutMillis = Math.min(timeoutMillis, exportIntervalMillis)
  return new PeriodicExportingMetricReader({ exporter, exportIntervalMillis, exportTimeoutMillis })
}

/**
 * With cumulative temporality the SDK sends a gauge's last value again for ever; with delta an unobserved gauge is
 * absent. On the wire a gauge has no temporality. All other instruments keep the configured one.
 */
function withAbsentGauges(reader: MetricReader): MetricReader {
  const asked = reader.selectAggregationTemporality.bind(reader)
  reader.selectAggregationTemporality = type =>
    type === InstrumentType.OBSERVABLE_GAUGE || type === InstrumentType.GAUGE
      ? AggregationTemporality.DELTA
      : asked(type)
  return reader
}
