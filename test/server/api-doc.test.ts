import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import type { z } from 'zod'
import { parseServeConfig } from '../../src/config/serve-config.ts'
import { HOOK_EVENTS, serveSchema } from '../../src/config/serve-schema.ts'
import { historyEntrySchema, historySchema, restoreStatusSchema, statusSchema } from '../../src/server/api-schema.ts'
import { HTTP_ERRORS } from '../../src/server/http-error.ts'
import { ROUTES } from '../../src/server/routes.ts'

const doc = readFileSync(join(import.meta.dirname, '../../docs/api.md'), 'utf8')
const section = (title: string) => doc.split(`\n## ${title}\n`)[1]!.split('\n## ')[0]!
const words = (text: string) =>
  new Set([...text.replace(/```[\s\S]*?```/g, '').matchAll(/`([^`]+)`/g)].flatMap(([, code]) => code!.split(/[.[\]]+/)))
const blocks = (language: string) =>
  [...doc.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text]) => text!)

/** Every key of a schema and of what it holds. */
function keysOf(schema: z.ZodType): string[] {
  const { shape, innerType, element } = schema.def as unknown as Record<string, z.ZodType & Record<string, z.ZodType>>
  if (shape) return Object.entries(shape).flatMap(([key, inner]) => [key, ...keysOf(inner as z.ZodType)])
  const inner = innerType ?? element
  return inner ? keysOf(inner) : []
}

test('every field, route, error and key is documented', () => {
  const status = words(section('GET /status/restore'))
  for (const key of keysOf(restoreStatusSchema)) expect([...status, 'progress'], key).toContain(key)
  const all = words(section('GET /status/restore') + section('GET /status'))
  for (const key of keysOf(statusSchema)) expect([...all], key).toContain(key)
  const history = words(section('GET /restores'))
  for (const key of keysOf(historyEntrySchema)) expect([...history], key).toContain(key)
  for (const { method, path } of ROUTES) expect(section('Routes')).toContain(`| \`${method} ${path}\` |`)
  for (const [code, { status }] of Object.entries(HTTP_ERRORS))
    expect(section('Errors')).toMatch(new RegExp(`\\| ${status} \\|[^\\n]*\`${code}\``))
  for (const key of Object.keys(serveSchema.shape)) expect(section('serve.yaml')).toContain(`${key}:`)
  for (const event of HOOK_EVENTS) expect(section('Hooks')).toContain(`\`${event}\``)
  expect(keysOf(statusSchema).length).toBeGreaterThan(70)
})

test('its examples are what the agent reads and writes', () => {
  const [yaml] = blocks('yaml')
  expect(parseServeConfig(yaml!, 'serve.yaml')).toBeTruthy()
  expect(Object.keys(parse(yaml!)).sort()).toEqual(Object.keys(serveSchema.shape).sort())
  const [restore, history] = blocks('json').map(text => JSON.parse(text))
  expect(restoreStatusSchema.parse(restore)).toEqual(restore)
  expect(historySchema.parse(history)).toEqual(history)
})
