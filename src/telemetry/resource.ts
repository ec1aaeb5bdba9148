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

/** Who sends. Looked up once a process, since `service.instance.id` is drawn anew with each look. */
export const processResource = (version: string): Resource =>
  resourceFromAttributes({ 'service.name': 'restore-agent', 'service.version': version }).merge(
    detectResources({
      detectors: [serviceInstanceIdDetector, hostDetector, osDetector, pidDetector, ownEnvDetector],
    }),
  )

/** NodeSDK's own process detector would send command line, owner and path. */
const pidDetector: ResourceDetector = { detect: () => ({ attributes: { 'process.pid': process.pid } }) }

const NEVER_SENT = /^process\.(command|owner|executable\.path)/

/** OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES; last, so that they win over our own. */
const ownEnvDetector: ResourceDetector = {
  detect() {
    const entries = Object.entries(envDetector.detect().attributes ?? {})
    const kept = entries.filter(([name]) => !NEVER_SENT.test(name))
    return {
      attributes: Object.fromEntries(kept.map(([name, v]) => [name, typeof v === 'string' ? scrubText(v) : v])),
    }
  },
}
