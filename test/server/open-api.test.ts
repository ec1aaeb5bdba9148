import { expect, test } from 'vitest'
import { ROUTES } from '../../src/server/routes.ts'
import { startAgent } from './served.ts'

// biome-ignore lint/suspicious/noExplicitAny: a JSON document
type Json = any

const agentDocument = async () => {
  const agent = await startAgent()
  return { agent, document: (await agent.call('GET', '/openapi.json')).body as Json }
}

test('every route is in it, with what it takes and answers', async () => {
  const { document } = await agentDocument()
  expect(document.openapi).toBe('3.1.0')
  const operations = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  )
  expect(operations.sort()).toEqual(ROUTES.map(({ method, path }) => `${method} ${path}`).sort())
  expect(Object.keys(document.paths['/restore'].post.responses)).toEqual([
    '202',
    '400',
    '401',
    '403',
    '404',
    '405',
    '408',
    '409',
    '413',
    '415',
    '431',
    '500',
    '503',
  ])
  expect(document.components.schemas.RestoreRequest).toMatchObject({
    required: ['backup'],
    additionalProperties: false,
  })
})

test('every reference in it leads somewhere, and nothing is left of another dialect', async () => {
  const { document } = await agentDocument()
  const text = JSON.stringify(document)
  for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g))
    expect(document.components.schemas).toHaveProperty(name!)
  expect(text).not.toMatch(/\$defs|\$schema|"id":/)
})

/** As much of JSON Schema as the document uses; what is wrong with the value, by its path. */
function problems(schema: Json, value: Json, root: Json, at = '$'): string[] {
  if (schema.$ref) return problems(root.components.schemas[schema.$ref.split('/').at(-1)], value, root, at)
  if (schema.anyOf) {
    const tries = schema.anyOf.map((one: Json) => problems(one, value, root, at))
    return tries.some((found: string[]) => found.length === 0) ? [] : tries[0]
  }
  const types = [schema.type].flat().filter(Boolean)
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const fits = types.some(one => one === type || (one === 'integer' && Number.isInteger(value)))
  if (types.length > 0 && !fits) return [`${at}: ${type} is not ${types}`]
  const found: string[] = []
  if (schema.enum && !schema.enum.includes(value)) found.push(`${at}: not in the enum`)
  if ('const' in schema && schema.const !== value) found.push(`${at}: not the constant`)
  if (schema.pattern && type === 'string' && !new RegExp(schema.pattern).test(value)) found.push(`${at}: pattern`)
  if (type === 'number' && (value < (schema.minimum ?? value) || value > (schema.maximum ?? value)))
    found.push(`${at}: out of range`)
  if (type === 'array')
    found.push(...value.flatMap((item: Json, n: number) => problems(schema.items, item, root, `${at}[${n}]`)))
  if (type === 'object') {
    for (const key of schema.required ?? []) if (!(key in value)) found.push(`${at}.${key}: missing`)
    for (const [key, item] of Object.entries(value)) {
      if (schema.properties?.[key]) found.push(...problems(schema.properties[key], item, root, `${at}.${key}`))
      else if (schema.additionalProperties === false) found.push(`${at}.${key}: unknown`)
    }
  }
  return found
}

test('real answers are what the document says', async () => {
  const { agent, document } = await agentDocument()
  let checked = 0
  const look = async (method: string, path: string, options?: Parameters<typeof agent.call>[2]) => {
    const { status, body } = await agent.call(method, path, options)
    const response = document.paths[path][method.toLowerCase()].responses[status]
    expect(response, `${method} ${path} ${status}`).toBeDefined()
    expect(problems(response.content['application/json'].schema ?? {}, body, document)).toEqual([])
    checked += 1
  }
  const lookAtAll = async () => {
    for (const path of ['/status', '/status/restore', '/restores', '/healthz', '/readyz', '/openapi.json'])
      await look('GET', path)
  }
  await lookAtAll()
  await look('DELETE', '/restore')
  await look('POST', '/restore', { json: {} })
  await look('POST', '/restore', { json: { backup: 'chain' } })
  await look('POST', '/restore', { json: { backup: 'chain' } })
  const session = agent.fake.sessions[0]!
  for (const phase of ['restoring_basebackup', 'preparing_backup', 'finalizing'] as const) {
    session.goTo(phase, 2)
    await lookAtAll()
  }
  await look('DELETE', '/restore')
  await session.done
  await look('POST', '/drain')
  expect(checked).toBe(6 * 4 + 6)
  expect(problems({ type: 'object', required: ['a'], properties: {} }, {}, document)).toEqual(['$.a: missing'])
})
