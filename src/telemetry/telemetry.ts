import { type Telemetry, type TelemetryOptions, telemetryOff } from './off.ts'
import { readSettings } from './settings.ts'

/** Telemetry as the OTEL_* variables ask for it. Without them nothing is imported and no socket is opened. */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  try {
    const settings = readSettings(options.env)
    for (const warning of settings.warnings) options.warn(`telemetry: ${warning}`)
    if (Object.keys(settings.signals).length === 0) return telemetryOff(options.env)
    const { startSdk } = await import('./sdk.ts')
    const { observeWithSdk } = await import('./observer.ts')
    return observeWithSdk(startSdk(settings, options), options)
  } catch (thrown) {
    options.warn(`telemetry: off, because it did not start: ${thrown instanceof Error ? thrown.message : thrown}`)
    return telemetryOff(options.env)
  }
}
