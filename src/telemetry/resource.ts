import {
  detectResources,
  envDetector,
  hostDetector,
  osDetector,
  type Resource,
  type ResourceDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources'
import { scrubText } from '../secrets.ts'

/** The resource of this process. Call it once: each call draws a new `service.instance.id`. */
export const processResource = (version: string): Resource =>
  resourceFromAttributes({ 'service.name': 'restore-agent', 'service.version': version }).merge(
    detectResources({
      detectors: [serviceInstanceIdDetector, hostDetector, osDetector, pidDetector, ownEnvDetector],
    }),
  )

/** NodeSDK's process detector also sends the command line, the owner and the path. */
const pidDetector: ResourceDetector = { detect: () => ({ attributes: { 'process.pid': process.pid } }) }

const NEVER_SENT = /^process\.(command|owner|executable\.path)/

/** OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES. It is the last detector, so its values win. */
const ownEnvDetector: ResourceDetector = {
  detect() {
    const entries = Object.entries(envDetector.detect().attributes ?? {})
    const kept = entries.filter(([name]) => !NEVER_SENT.test(name))
    return {
      attributes: Object.fromEntries(kept.map(([name, v]) => [name, typeof v === 'string' ? scrubText(v) : v])),
    }
  },
}
