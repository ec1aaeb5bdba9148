import type { z } from 'zod'
import {
  acceptedSchema,
  drainingSchema,
  healthSchema,
  historySchema,
  restoreRequestSchema,
  restoreStatusSchema,
  statusSchema,
} from './api-schema.ts'
import type { HttpErrorCode } from './http-error.ts'

/** The API as data: the server answers by it, and GET /openapi.json is made from it. */
export interface Route {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  name: RouteName
  summary: string
  /** Answered without a token, and without information: for probes. */
  open: boolean
  /** Of the request's body; null where it has none. */
  request: z.ZodType | null
  /** Status and body of a success; a null body is a stream or a document of its own. */
  success: { status: number; body: z.ZodType | null; mediaType: string }
  errors: readonly HttpErrorCode[]
}

export type RouteName =
  | 'startRestore'
  | 'cancelRestore'
  | 'drain'
  | 'status'
  | 'restoreStatus'
  | 'history'
  | 'health'
  | 'readiness'
  | 'openApi'
  | 'events'

const json = (status: number, body: z.ZodType | null) => ({ status, body, mediaType: 'application/json' })
const route = (
  method: Route['method'],
  path: string,
  name: RouteName,
  summary: string,
  success: Route['success'],
  { open = false, request = null, errors = [] }: Partial<Pick<Route, 'open' | 'request' | 'errors'>> = {},
): Route => ({ method, path, name, summary, open, request, success, errors })

export const ROUTES: readonly Route[] = [
  route('POST', '/restore', 'startRestore', 'Begin a restore of a configured backup', json(202, acceptedSchema), {
    request: restoreRequestSchema,
    errors: [
      'bad_request',
      'unknown_backup',
      'restore_running',
      'body_too_large',
      'wrong_media_type',
      'draining',
      'not_ready',
    ],
  }),
  route('DELETE', '/restore', 'cancelRestore', 'Cancel the restore that runs', json(202, acceptedSchema), {
    errors: ['nothing_to_cancel'],
  }),
  route('POST', '/drain', 'drain', 'Take no new restore, and exit when none runs', json(202, drainingSchema)),
  route('GET', '/status', 'status', 'The agent, and the restore it runs or ran last', json(200, statusSchema)),
  route('GET', '/status/restore', 'restoreStatus', 'The restore as MyHoard tells it', json(200, restoreStatusSchema), {
    errors: ['no_restore'],
  }),
  route('GET', '/restores', 'history', 'Restores that ended, the newest first', json(200, historySchema)),
  route(
    'GET',
    '/events',
    'events',
    'Server-sent events: GET /status whenever it changes',
    { status: 200, body: null, mediaType: 'text/event-stream' },
    {
      errors: ['too_many_streams'],
    },
  ),
  route('GET', '/healthz', 'health', 'Whether the agent answers at all', json(200, healthSchema), { open: true }),
  route('GET', '/readyz', 'readiness', 'Whether the agent takes a restore', json(200, healthSchema), {
    open: true,
    errors: ['not_ready', 'draining'],
  }),
  route('GET', '/openapi.json', 'openApi', 'This API, as OpenAPI 3.1', json(200, null)),
]
