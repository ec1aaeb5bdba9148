import { onTestFinished } from 'vitest'
import type { Telemetry } from '../../src/telemetry/off.ts'
import { startTelemetry } from '../../src/telemetry/telemetry.ts'
import { type OtlpReceiver, startOtlpReceiver } from './otlp-receiver.ts'

export interface Started {
  telemetry: Telemetry
  receiver: OtlpReceiver
  warnings: string[]
}

/**
 * Telemetry that sends http/json to a receiver of its own; ended with the test. `env` is taken instead of process.env.
 */
export async function startWithReceiver(env: NodeJS.ProcessEnv = {}): Promise<Started> {
  const receiver = await startOtlpReceiver()
  onTestFinished(() => receiver.close())
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }
  return { ...(await start({ ...endpoint, ...env })), receiver }
}

export async function start(env: NodeJS.ProcessEnv): Promise<{ telemetry: Telemetry; warnings: string[] }> {
  const warnings: string[] = []
  const telemetry = await startTelemetry({ env, version: '1.2.3', warn: text => warnings.push(text) })
  let ended: Promise<void> | undefined
  const shutdown = () => {
    ended ??= telemetry.shutdown()
    return ended
  }
  onTestFinished(shutdown)
  return { telemetry: { ...telemetry, shutdown }, warnings }
}
