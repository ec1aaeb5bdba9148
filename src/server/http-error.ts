import { type ErrorCode, type ErrorRecord, RestoreError } from '../errors.ts'

/**
 * Errors of requests: a stable code, its HTTP status and a hint. Errors of a restore (errors.ts) keep their own codes.
 */
export const HTTP_ERRORS = {
  bad_request: { status: 400, hint: 'see GET /openapi.json' },
  no_restore: { status: 400, hint: 'start one with POST /restore' },
  unauthorized: { status: 401, hint: 'send the token of token_file: Authorization: Bearer …' },
  wrong_host: { status: 403, hint: 'call the agent as 127.0.0.1, [::1] or localhost' },
  wrong_origin: { status: 403, hint: 'web pages may not call the agent' },
  not_found: { status: 404, hint: 'see GET /openapi.json' },
  unknown_backup: { status: 404, hint: 'name one of the backups that GET /status lists' },
  nothing_to_cancel: { status: 404, hint: 'GET /status tells what runs' },
  method_not_allowed: { status: 405, hint: 'the Allow header lists what is' },
  request_timeout: { status: 408, hint: 'send the whole request at once' },
  restore_running: { status: 409, hint: 'wait for its end, or cancel it with DELETE /restore' },
  body_too_large: { status: 413, hint: 'a body may have 65536 bytes' },
  wrong_media_type: { status: 415, hint: 'send Content-Type: application/json' },
  header_too_large: { status: 431, hint: 'all headers together may have 16384 bytes' },
  internal: { status: 500, hint: 'this is a bug in restore-agent; its log has more' },
  draining: { status: 503, hint: 'the agent takes no new restore and ends: use the next one' },
  not_ready: { status: 503, hint: 'the agent is starting: try again in a second' },
  too_many_streams: { status: 503, hint: 'close another reader of GET /events, or poll GET /status' },
} as const satisfies Record<string, { status: number; hint: string }>

export type HttpErrorCode = keyof typeof HTTP_ERRORS

/** The answer to a refused request. It has no stack and no unchecked part of the request. */
export class HttpError extends Error {
  readonly status: number
  readonly body: ErrorBody
  readonly headers: Readonly<Record<string, string>>

  constructor(code: HttpErrorCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'HttpError'
    this.status = HTTP_ERRORS[code].status
    this.body = { error: { code, message, hint: HTTP_ERRORS[code].hint } }
    this.headers = headers
  }
}

export interface ErrorBody {
  error: { code: HttpErrorCode | ErrorCode; message: string; hint: string }
}

/** Status of an error that keeps a restore from beginning; any other is a 500 with its code. */
const STATUS_OF: Partial<Record<ErrorCode, number>> = { locked: 409, unfinished: 409 }

export function answerTo(thrown: unknown): {
  status: number
  body: ErrorBody
  headers: Readonly<Record<string, string>>
} {
  if (thrown instanceof HttpError) return thrown
  if (thrown instanceof RestoreError && thrown.code !== 'internal') {
    const { code, message, hint }: ErrorRecord = thrown.record
    return { status: STATUS_OF[code] ?? 500, body: { error: { code, message, hint } }, headers: {} }
  }
  return new HttpError('internal', 'the agent could not answer')
}
