import { z } from 'zod'
import { errorSchema } from './api-schema.ts'
import { HTTP_ERRORS } from './http-error.ts'
import { ROUTES, type Route } from './routes.ts'

/** The OpenAPI 3.1 document of the routes: schemas with an id stand once, under components, wherever they are used. */
export function openApi(version: string): object {
  const schemas: Record<string, unknown> = {}

  const reference = (schema: z.ZodType): object => {
    const { $schema: _, $defs = {}, ...own } = z.toJSONSchema(schema, { target: 'draft-2020-12' })
    const renamed = (value: unknown) =>
      JSON.parse(JSON.stringify(value).replaceAll('"#/$defs/', '"#/components/schemas/'))
    for (const [id, definition] of Object.entries($defs)) schemas[id] = renamed(withoutId(definition))
    // Schemas with an id are in $defs; here they are only referenced.
    return renamed(own)
  }

  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of ROUTES) {
    paths[route.path] ??= {}
    paths[route.path]![route.method.toLowerCase()] = operation(route, reference)
  }
  return {
    openapi: '3.1.0',
    info: { title: 'restore-agent', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    paths,
    components: { schemas, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  }
}

const withoutId = ({ id: _, ...schema }: { id?: unknown }) => schema

/** Errors that any request can get. */
const EVERYWHERE = [
  'wrong_host',
  'wrong_origin',
  'method_not_allowed',
  'request_timeout',
  'header_too_large',
  'internal',
] as const

function operation(route: Route, reference: (schema: z.ZodType) => object) {
  const { success } = route
  const codes = [...route.errors, ...(route.open ? [] : (['unauthorized'] as const)), ...EVERYWHERE]
  const byStatus = Map.groupBy(codes, code => HTTP_ERRORS[code].status)
  return {
    operationId: route.name,
    summary: route.summary,
    // Only where a token_file is configured; otherwise none is needed.
    security: route.open ? [] : [{}, { token: [] }],
    ...(route.request && {
      requestBody: { required: true, content: { 'application/json': { schema: reference(route.request) } } },
    }),
    responses: Object.fromEntries([
      [
        String(success.status),
        {
          description: route.summary,
          content: { [success.mediaType]: success.body === null ? {} : { schema: reference(success.body) } },
        },
      ],
      ...[...byStatus].map(([status, same]) => [
        String(status),
        { description: same.join(', '), content: { 'application/json': { schema: reference(errorSchema) } } },
      ]),
    ]),
  }
}
