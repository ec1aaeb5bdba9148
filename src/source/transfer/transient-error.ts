import { RestoreError } from '../../errors.ts'

/** A request that failed and may succeed when it is made again. */
export class TransientError extends Error {
  /** For `error.type` in telemetry: few different values. */
  readonly type: string
  /** How long the server asks to wait; null where it does not. */
  readonly retryAfterMs: number | null
  /** What it is once asking again has not helped; null for `source_unreachable`. */
  readonly last: RestoreError | null

  constructor(type: string, message: string, retryAfterMs: number | null = null, last: RestoreError | null = null) {
    super(message)
    this.name = 'TransientError'
    this.type = type
    this.retryAfterMs = retryAfterMs
    this.last = last
  }
}

/** What a person calls the error codes of Node and undici; few words, because they label telemetry. */
const TYPES: Readonly<Record<string, string>> = {
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  UND_ERR_SOCKET: 'reset',
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  ETIMEDOUT: 'connect_timeout',
  UND_ERR_CONNECT_TIMEOUT: 'connect_timeout',
}

const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS/

/** What a failed connection means: a RestoreError where asking again cannot help. */
export function connectionError(name: string, thrown: unknown): RestoreError | TransientError {
  if (thrown instanceof RestoreError || thrown instanceof TransientError) return thrown
  const { code = '', message } = thrown as NodeJS.ErrnoException
  const cause = (thrown as Error).cause as NodeJS.ErrnoException | undefined
  const found = code || cause?.code || ''
  if (CERTIFICATE.test(found))
    return new RestoreError('source_unreachable', `${name}: the server's certificate is not trusted: ${message}`, {
      hint: 'name the file of its CA in NODE_EXTRA_CA_CERTS',
    })
  if (found === 'ERR_INVALID_URL' || found === 'UND_ERR_INVALID_ARG' || found === 'UND_ERR_NOT_SUPPORTED')
    return new RestoreError('usage', `${name}: ${message}`, { hint: 'correct the URL' })
  return new TransientError(TYPES[found] ?? 'connection', `${name}: ${message || found}`)
}
