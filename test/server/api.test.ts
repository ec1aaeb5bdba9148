import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { RestoreError } from '../../src/errors.ts'
import {
  acceptedSchema,
  drainingSchema,
  errorSchema,
  healthSchema,
  historySchema,
  restoreStatusSchema,
  statusSchema,
} from '../../src/server/api-schema.ts'
import { HTTP_ERRORS, type HttpErrorCode } from '../../src/server/http-error.ts'
import { refs } from '../support/source-refs.ts'
import { until } from '../support/until.ts'
import { diskFull, fakeSessions } from './fake-sessions.ts'
import { type Answer, type CallOptions, startAgent, TOKEN, YAML } from './served.ts'

/** The body is of the schema, with no field more. */
function expectBody(answer: Answer, status: number, schema: z.ZodType) {
  expect([answer.status, answer.body]).toEqual([status, answer.body])
  expect(schema.parse(answer.body)).toEqual(answer.body)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
}

function expectError(answer: Answer, code: HttpErrorCode) {
  expectBody(answer, HTTP_ERRORS[code].status, errorSchema)
  expect(answer.body.error).toMatchObject({ code, hint: HTTP_ERRORS[code].hint })
  expect(JSON.stringify(answer.body)).not.toMatch(/\.ts|node:|at .*\(/)
}

describe('a restore', () => {
  test('is begun with what the configuration says, and nothing else', async () => {
    const { call, fake, folder } = await startAgent()
    const answer = await call('POST', '/restore', { json: { backup: 'chain' } })
    expectBody(answer, 202, acceptedSchema)
    expect(answer.body).toEqual({ restore_id: 'restore-1' })
    expect(fake.sessions[0]!.options).toMatchObject({
      sources: refs(...['full.xb', 'inc1.xb', 'inc2.xb'].map(name => join(folder, name))),
      datadir: join(folder, 'data'),
      stateDir: join(folder, 'state'),
      // Only what goes to the same datadir is a way back.
      olderBackups: [refs(join(folder, 'full.xb'))],
    })
  })

  test('is the only one: 409 from the moment it was asked for until it has ended', async () => {
    const { call, fake, start } = await startAgent()
    let letGo = () => {}
    fake.hold = new Promise(resolve => {
      letGo = resolve
    })
    const first = call('POST', '/restore', { json: { backup: 'chain' } })
    await until(async () => (await call('POST', '/restore', { json: { backup: 'full' } })).status === 409)
    fake.hold = null
    letGo()
    expect((await first).status).toBe(202)
    expectError(await call('POST', '/restore', { json: { backup: 'full' } }), 'restore_running')
    expect(fake.sessions).toHaveLength(1)
    fake.sessions[0]!.end()
    await until(async () => (await call('GET', '/restores')).body.restores[0].status === 'succeeded')
    await start('full')
    expect(fake.sessions).toHaveLength(2)
  })

  test('that cannot begin says why, and another can be asked for', async () => {
    const { call, fake, start } = await startAgent()
    fake.refuseWith = new RestoreError('locked', 'the lock is held by mariadb-backup (pid 7)')
    const answer = await call('POST', '/restore', { json: { backup: 'chain' } })
    expectBody(answer, 409, errorSchema)
    expect(answer.body.error).toMatchObject({ code: 'locked', message: 'the lock is held by mariadb-backup (pid 7)' })
    fake.refuseWith = null
    await start()
  })

  test('a target of the request replaces that of the configuration, and is of the right form', async () => {
    const { call, fake, reload } = await startAgent()
    const post = (json: object) => call('POST', '/restore', { json: { backup: 'chain', ...json } })
    for (const wrong of [{ to_time: 'noon' }, { to_gtid: 'x' }, { to_position: 'a' }, { binlogs: '/b' }, { to_end: 1 }])
      expectError(await post(wrong), 'bad_request')
    const without = await post({ to_time: '2026-11-27T13:59:07Z' })
    expect(without.body.error).toMatchObject({ code: 'usage', message: '--to-time needs --binlogs' })
    await reload(YAML.replace('{datadir: data}', '{datadir: data, binlogs: /binlogs, to_gtid: 0-1-7}'))
    const two = await post({ to_time: '2026-11-27T13:59:07Z', to_end: true })
    expect(two.body.error).toMatchObject({ code: 'usage' })
    expect((await post({ to_time: '2026-11-27T14:59:07+01:00' })).status).toBe(202)
    expect(fake.sessions.at(-1)!.options).toMatchObject({
      binlogs: { kind: 'path', path: '/binlogs' },
      toTime: Date.UTC(2026, 10, 27, 13, 59, 7),
      toGtid: null,
    })
  })

  test('is cancelled', async () => {
    const { call, start } = await startAgent()
    expectError(await call('DELETE', '/restore'), 'nothing_to_cancel')
    const session = await start()
    const answer = await call('DELETE', '/restore')
    expectBody(answer, 202, acceptedSchema)
    expect(answer.body).toEqual({ restore_id: 'restore-1' })
    expect((await session.done).error?.code).toBe('cancelled')
    await until(async () => (await call('GET', '/status')).body.restore.status === 'cancelled')
    expectError(await call('DELETE', '/restore'), 'nothing_to_cancel')
  })

  test('is told from its first state to after its end, by this agent and the next', async () => {
    const agent = await startAgent()
    expectError(await agent.call('GET', '/status/restore'), 'no_restore')
    expect((await agent.call('GET', '/status')).body.restore).toBe(null)
    const session = await agent.start()
    const look = async () => {
      const [status, restore, history] = await Promise.all(
        ['/status', '/status/restore', '/restores'].map(path => agent.call('GET', path)),
      )
      expectBody(status!, 200, statusSchema)
      expectBody(restore!, 200, restoreStatusSchema)
      expectBody(history!, 200, historySchema)
      return { status: status!.body, restore: restore!.body, history: history!.body.restores }
    }
    expect((await look()).history).toMatchObject([{ restore_id: 'restore-1', status: 'running', ended_at: null }])
    session.goTo('restoring_basebackup')
    session.goTo('preparing_backup')
    expect((await look()).restore).toMatchObject({ phase: 'preparing_backup', restore_chain_total: 3 })
    session.end(diskFull())
    await until(async () => (await look()).history[0].status === 'failed')
    const end = await look()
    expect(end.restore.error).toMatchObject({ code: 'disk_full', last_words: ['errno 28'], exit_code: 40 })
    expect(end.history).toMatchObject([{ backup: 'chain', phase: 'failed', error: { code: 'disk_full' } }])

    const stored = JSON.parse(readFileSync(join(agent.folder, 'state/restores.json'), 'utf8'))
    const next = await startAgent(YAML.replace('state_dir: state', `state_dir: ${agent.folder}/state`))
    expect((await next.call('GET', '/status/restore')).body).toEqual(end.restore)
    expect((await next.call('GET', '/restores')).body.restores).toEqual(stored.restores)
  })

  test('that went back to an older backup bears its name', async () => {
    const { call, start } = await startAgent()
    const session = await start('chain')
    session.dispatch({ type: 'fell_back', backupIndex: 1, error: diskFull().record })
    // Also while it is only looked at.
    expect((await call('GET', '/status/restore')).body.current_backup_name).toBe('full')
    session.dispatch({
      type: 'planned',
      plan: (await import('./sample-plan.ts')).samplePlan({
        sources: session.options.olderBackups[0]!,
        datadir: session.options.datadir,
      }),
    })
    expect((await call('GET', '/status')).body.restore.backup).toBe('full')
    session.dispatch({ type: 'ended', status: 'failed', phase: 'failed_basebackup', error: diskFull().record })
    expect((await call('GET', '/restores')).body.restores[0].backup).toBe('chain')
  })

  test('keeps the name it was asked for, in another agent too; without one it has that of its file', async () => {
    const first = await startAgent()
    const { options, store } = await first.start('full')
    expect(store.state.backup).toBe('full')
    for (const [backup, name] of [
      ['full', 'full'],
      [null, 'full.xb'],
    ] as const) {
      const fake = fakeSessions()
      fake.interrupted = options
      fake.interruptedName = backup
      const { call } = await startAgent(YAML.replaceAll('full.xb', 'another.xb'), { fake })
      expect((await call('GET', '/restores')).body.restores[0].backup).toBe(name)
    }
  })
})

describe('what is no request of this API is refused in one shape', () => {
  const wrong: [string, HttpErrorCode, string, string, CallOptions?][] = [
    ['an unknown path', 'not_found', 'GET', '/nothing'],
    ['the root', 'not_found', 'GET', '/'],
    ['a path above', 'not_found', 'GET', '/status/..%2f..%2fetc/passwd'],
    ['a doubled slash', 'not_found', 'GET', '//status'],
    ['a wrong method', 'method_not_allowed', 'PUT', '/restore', { json: {} }],
    ['OPTIONS', 'method_not_allowed', 'OPTIONS', '/restore'],
    ['no body', 'wrong_media_type', 'POST', '/restore'],
    [
      'text',
      'wrong_media_type',
      'POST',
      '/restore',
      { body: '{"backup":"chain"}', headers: { 'Content-Type': 'text/plain' } },
    ],
    [
      'an almost right type',
      'wrong_media_type',
      'POST',
      '/restore',
      { body: '{}', headers: { 'Content-Type': 'application/jsonp' } },
    ],
    ['compressed', 'wrong_media_type', 'POST', '/restore', { json: {}, headers: { 'Content-Encoding': 'gzip' } }],
    ['no JSON', 'bad_request', 'POST', '/restore', { body: '{', headers: { 'Content-Type': 'application/json' } }],
    ['an empty body', 'bad_request', 'POST', '/restore', { body: '', headers: { 'Content-Type': 'application/json' } }],
    ['a list', 'bad_request', 'POST', '/restore', { json: [] }],
    ['null', 'bad_request', 'POST', '/restore', { json: null }],
    ['no backup', 'bad_request', 'POST', '/restore', { json: {} }],
    ['a number', 'bad_request', 'POST', '/restore', { json: { backup: 5 } }],
    ['a datadir of its own', 'bad_request', 'POST', '/restore', { json: { backup: 'chain', datadir: '/etc' } }],
    ['a command', 'bad_request', 'POST', '/restore', { json: { backup: 'chain', tool_path: '/bin/sh' } }],
    ['a path as its name', 'unknown_backup', 'POST', '/restore', { json: { backup: '../../etc/passwd' } }],
    ['a name of every object', 'unknown_backup', 'POST', '/restore', { json: { backup: 'constructor' } }],
    [
      'a key of every object',
      'bad_request',
      'POST',
      '/restore',
      { body: '{"backup":"chain","__proto__":{"x":1}}', headers: { 'Content-Type': 'application/json' } },
    ],
    ['65537 bytes', 'body_too_large', 'POST', '/restore', { json: { backup: 'x'.repeat(65_537 - 13) } }],
    ['a page’s request', 'wrong_origin', 'POST', '/drain', { headers: { Origin: 'http://127.0.0.1:8321' } }],
  ]
  test.each(wrong)('%s: %s', async (_, code, method, path, options) => {
    const { call, fake } = await startAgent()
    const answer = await call(method, path, options)
    expectError(answer, code)
    if (code === 'method_not_allowed') expect(answer.headers.get('allow')).toBe('POST, DELETE')
    expect(fake.sessions).toEqual([])
  })

  test.each([
    [[], 'the body must be an object'],
    [null, 'the body must be an object'],
    [{}, 'backup: must be the name of a backup'],
    [{ backup: 'chain', datadir: '/etc' }, 'the body has a key that is not known here'],
  ])('what is wrong with %j is said in words', async (json, message) => {
    const { call } = await startAgent()
    expect((await call('POST', '/restore', { json })).body.error.message).toBe(message)
  })

  test('65536 bytes are read', async () => {
    const { call } = await startAgent()
    expectError(await call('POST', '/restore', { json: { backup: 'x'.repeat(65_536 - 13) } }), 'unknown_backup')
  })

  test('HEAD is GET without a body', async () => {
    const { call } = await startAgent()
    const answer = await call('HEAD', '/status')
    expect([answer.status, answer.body]).toEqual([200, null])
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(100)
  })
})

describe('probes', () => {
  test('healthz answers always, readyz from the first state to the drain', async () => {
    let letGo = () => {}
    const fake = fakeSessions()
    const resume = fake.resumeSession
    fake.resumeSession = async (...args) => {
      await new Promise<void>(resolve => {
        letGo = resolve
      })
      return resume(...args)
    }
    let url = ''
    const starting = startAgent(YAML, {
      fake,
      log: (_level, event, message) => {
        if (event === 'listen') url = message.replace('on ', '')
      },
    })
    await until(() => url !== '')
    const ask = async (path: string, init?: RequestInit) => {
      const response = await fetch(url + path, init)
      return { status: response.status, headers: response.headers, body: await response.json() } as Answer
    }
    expectBody(await ask('/healthz'), 200, healthSchema)
    expectError(await ask('/readyz'), 'not_ready')
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${TOKEN}` }
    expectError(await ask('/restore', { method: 'POST', headers, body: '{"backup":"chain"}' }), 'not_ready')
    letGo()
    const agent = await starting
    expectBody(await ask('/readyz'), 200, healthSchema)
    await agent.start()
    expectBody(await agent.call('POST', '/drain'), 202, drainingSchema)
    expectBody(await agent.call('GET', '/healthz'), 200, healthSchema)
    expectError(await agent.call('GET', '/readyz'), 'draining')
    expectError(await agent.call('POST', '/restore', { json: { backup: 'full' } }), 'draining')
  })
})
