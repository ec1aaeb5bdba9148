import { chmodSync, mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../../scripts/sample/server.ts'
import { binary } from '../binaries.ts'
import { type Jaeger, jaegerAt } from './jaeger.ts'
import { type LokiReceiver, startLokiReceiver } from './loki-receiver.ts'
import { type Prometheus, prometheusAt } from './prometheus.ts'
import { composeArguments, makeService, type Service } from './services.ts'

/**
 * The real collector, Prometheus and Jaeger with the files and command lines of docker-compose.yml, on loopback ports
 * of their own. What differs from compose is this file's addresses, and a receiver in Loki's place.
 */
export interface Stack {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  otlpUrl: string
  prometheus: Prometheus
  jaeger: Jaeger
  loki: LokiReceiver
  services: { collector: Service; prometheus: Service; jaeger: Service }
  /** Scratch directory, gone after stop(). */
  directory: string
  stop(): Promise<void>
}

export interface StackOptions {
  /** Working directory of Prometheus: a build without its pages inside looks for them there. */
  prometheusDirectory?: string | undefined
}

/** Another test file may take a port between the look for a free one and its use: then once more, with other ports. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  for (let triesLeft = 3; ; triesLeft--) {
    try {
      return await startOn(options)
    } catch (error) {
      if (triesLeft === 0 || !/address already in use/.test((error as Error).message)) throw error
    }
  }
}

async function startOn({ prometheusDirectory }: StackOptions): Promise<Stack> {
  const directory = mkdtempSync(join(tmpdir(), 'restore-agent-stack-'))
  chmodSync(directory, 0o755) // the server of a start check runs as another user
  const volumes = join(directory, 'volumes')
  mkdirSync(volumes)
  const ports = { prometheus: 0, otlp: 0, grpc: 0, health: 0, jaeger: 0, jaegerGrpc: 0, jaegerOtlp: 0, jaegerHealth: 0 }
  for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort()
  const on = (port: keyof typeof ports) => `127.0.0.1:${ports[port]}`
  const url = (port: keyof typeof ports) => `http://${on(port)}`
  const loki = await startLokiReceiver()

  const prometheus = makeService({
    file: await binary('prometheus'),
    args: [...composeArguments('prometheus', volumes), `--web.listen-address=${on('prometheus')}`],
    cwd: prometheusDirectory ?? directory,
    log: join(directory, 'prometheus.log'),
    readyUrl: `${url('prometheus')}/-/ready`,
  })
  const jaeger = makeService({
    file: await binary('jaeger'),
    args: composeArguments('jaeger', volumes),
    env: {
      JAEGER_DATA_DIR: join(volumes, 'jaeger-data'),
      JAEGER_HEALTH_ENDPOINT: on('jaegerHealth'),
      JAEGER_HTTP_ENDPOINT: on('jaeger'),
      JAEGER_GRPC_ENDPOINT: on('jaegerGrpc'),
      JAEGER_OTLP_GRPC_ENDPOINT: on('jaegerOtlp'),
    },
    cwd: directory,
    log: join(directory, 'jaeger.log'),
    readyUrl: `${url('jaegerHealth')}/status`,
  })
  const collector = makeService({
    file: await binary('otelcol'),
    args: composeArguments('otel-collector', volumes),
    env: {
      OTELCOL_HEALTH_ENDPOINT: on('health'),
      OTELCOL_QUEUE_DIR: join(volumes, 'collector-queue'),
      OTELCOL_GRPC_ENDPOINT: on('grpc'),
      OTELCOL_HTTP_ENDPOINT: on('otlp'),
      PROMETHEUS_OTLP_ENDPOINT: `${url('prometheus')}/api/v1/otlp`,
      JAEGER_OTLP_ENDPOINT: on('jaegerOtlp'),
      LOKI_OTLP_ENDPOINT: `http://127.0.0.1:${loki.port}/otlp`,
    },
    cwd: directory,
    log: join(directory, 'collector.log'),
    readyUrl: url('health'),
  })
  const stop = async () => {
    await Promise.all([collector, prometheus, jaeger].map(service => service.stop()))
    await loki.stop()
    await rm(directory, { recursive: true, force: true })
  }
  try {
    await Promise.all([prometheus.start(), jaeger.start()])
    await collector.start()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    otlpUrl: url('otlp'),
    prometheus: prometheusAt(url('prometheus')),
    jaeger: jaegerAt(url('jaeger')),
    loki,
    services: { collector, prometheus, jaeger },
    directory,
    stop,
  }
}
