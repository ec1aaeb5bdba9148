import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadServeConfig, parseServeConfig, restoreOptions } from '../../src/config/serve-config.ts'
import { HOOK_EVENTS, isLoopback, parseAddress, serveSchema } from '../../src/config/serve-schema.ts'
import { RestoreError } from '../../src/errors.ts'
import { refs } from '../support/source-refs.ts'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'serve-config-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

const place = { cwd: '/', env: { HOME: '/home/dba' }, isRoot: false }
const load = (text: string) => {
  const file = join(dir, 'serve.yaml')
  writeFileSync(file, text)
  return loadServeConfig(file, place)
}
function problemsOf(text: string): readonly string[] {
  try {
    parseServeConfig(text, 'serve.yaml')
  } catch (error) {
    if (!(error instanceof RestoreError)) throw error
    expect(error.code).toBe('config_invalid')
    return error.lastWords.length > 0 ? error.lastWords : [error.message]
  }
  return []
}

const FULL = `
listen: unix:run/agent.sock
socket_group: dba
token_file: token
state_dir: state
on_term: cancel
history: 7
defaults:
  datadir: data
  use_memory: 4G
  deadline: 6h
  stall_thresholds: {redo_scan: 10m, flush: 1m}
backups:
  - name: monday
    source: [full.xb, inc.xb]
    stall_thresholds: {flush: 2m}
  - {name: sunday, source: old.xb, parallel: 2}
  - {name: other, source: /b/other.xb, datadir: /elsewhere}
hooks:
  phase_change: [{command: [./tell, phase], timeout: 5s}]
  success: [{command: [logger, done]}]
`

describe('a whole file', () => {
  test('every key arrives, with paths relative to the file', async () => {
    writeFileSync(join(dir, 'token'), '  a-token-of-some-length \nsecond line\n')
    const config = await load(FULL)
    expect(config).toMatchObject({
      listen: { path: join(dir, 'run/agent.sock'), group: 'dba' },
      token: 'a-token-of-some-length',
      stateDir: join(dir, 'state'),
      onTerm: 'cancel',
      history: 7,
      hooks: {
        phase_change: [{ command: [join(dir, 'tell'), 'phase'], timeoutMs: 5_000 }],
        success: [{ command: ['logger', 'done'], timeoutMs: 30_000 }],
        failure: [],
        stall: [],
      },
    })
    const options = config.backups.map(backup => restoreOptions(backup, config, { ...place, nowMs: 1_000 }))
    expect(options[0]).toMatchObject({
      sources: refs(join(dir, 'full.xb'), join(dir, 'inc.xb')),
      datadir: join(dir, 'data'),
      stateDir: join(dir, 'state'),
      memory: 4 * 1024 ** 3,
      parallel: null,
      deadlineMs: 1_000 + 6 * 3_600_000,
      stallThresholds: { redo_scan: 600_000, flush: 120_000 },
      olderBackups: [refs(join(dir, 'old.xb'))],
    })
    expect(options[1]).toMatchObject({ parallel: 2, olderBackups: [], stallThresholds: { flush: 60_000 } })
    expect(options[2]).toMatchObject({ datadir: '/elsewhere', sources: refs('/b/other.xb') })
    expect(Object.keys(parseServeConfig(FULL, 'f')).sort()).toEqual(Object.keys(serveSchema.shape).sort())
  })

  test('an empty one is one', async () => {
    expect(await load('')).toEqual({
      file: join(dir, 'serve.yaml'),
      listen: { path: '/home/dba/.local/state/restore-agent/agent.sock', group: null },
      token: null,
      stateDir: '/home/dba/.local/state/restore-agent',
      onTerm: 'detach',
      history: 100,
      backups: [],
      hooks: { phase_change: [], success: [], failure: [], stall: [] },
    })
  })
})

test.each([
  ['backups: [{}]', ['1:11 backups.0: name is missing']],
  [
    'backups: [{name: a}]',
    ['1:11 backups.0: source is missing', '1:11 backups.0: datadir is missing, here and in defaults'],
  ],
  [
    'backups: [{name: a, source: "-", datadir: d}]',
    ['1:29 backups.0.source: must be a path: the agent has no standard input'],
  ],
  [
    'backups:\n- {name: a, source: b, datadir: d}\n- {name: a, source: c, datadir: d}',
    ['3:10 backups.1.name: is the name of backups.0 already'],
  ],
  [
    'backups: [{name: ../x, source: b, datadir: d}]',
    ['1:18 backups.0.name: must be a name of letters, digits and . _ - (128 at most)'],
  ],
  ['backups: [{name: a, source: b, datadir: d, dry_run: true}]', ['1:44 backups.0.dry_run: unknown key']],
  ['backups: [{name: a, source: b, datadir: d, ownr: x}]', ['1:44 backups.0.ownr: unknown key (did you mean owner?)']],
  [
    'backups: [{name: a, source: b, datadir: d, in_place: true, target_dir: t}]',
    ['1:54 backups.0.in_place: the source itself becomes the target dir, so there can be no target_dir'],
  ],
  ['defaults: {source: a}', ['1:12 defaults.source: unknown key']],
  ['defaults: {stall_thresholds: {redo: 5m}}', ['1:31 defaults.stall_thresholds.redo: is no step or phase']],
  ['listen: 0.0.0.0:80', ['1:9 listen: a TCP address needs a token_file; a unix: path needs none']],
  ['listen: localhost:80', ['1:9 listen: a TCP address needs a token_file; a unix: path needs none']],
  ['socket_group: dba', ['1:15 socket_group: needs listen: unix:PATH in a directory that the group may enter']],
  ...['db7:80', '8321', '"unix:"', 'unix:/run/', '/run/agent.sock'].map((listen): [string, string[]] => [
    `listen: ${listen}`,
    [
      '1:9 listen: must be unix: and a path, or an IP address and a port, ' +
        'such as unix:/run/restore-agent/agent.sock or 127.0.0.1:8321',
    ],
  ]),
  ['history: 0', ['1:10 history: must be a whole number from 1 to 10000']],
  ['on_term: kill', ['1:10 on_term: must be one of detach, cancel']],
  ['hooks: {sucess: []}', ['1:9 hooks.sucess: unknown key (did you mean success?)']],
  [
    'hooks: {stall: [{comand: [a]}]}',
    ['1:17 hooks.stall.0: command is missing', '1:18 hooks.stall.0.comand: unknown key (did you mean command?)'],
  ],
  [
    'hooks: {stall: [{command: rm -rf}]}',
    ['1:27 hooks.stall.0.command: must be a list of words: the program and its arguments'],
  ],
  ['hooks: {stall: [{command: []}]}', ['1:27 hooks.stall.0.command: must name a program']],
  ['hooks: []', ['1:8 hooks: must be a mapping of keys to values']],
  ['- a', ['1:1: must be a mapping of keys to values']],
])('%s', (text, problems) => {
  expect(problemsOf(text)).toEqual(problems.map(problem => `serve.yaml:${problem}`))
})

test.each(['', '\n', 'short', 'with a blank in it all', `${'x'.repeat(5000)}`, 'ü'.repeat(20)])(
  'the token file with %j is refused, and not repeated',
  async token => {
    writeFileSync(join(dir, 'bad'), token)
    const error = await load('token_file: bad').catch(thrown => thrown)
    expect(error.code).toBe('config_invalid')
    expect(error.message).toMatch(/^token_file .*\/bad: /)
    if (token.trim() !== '') expect(error.message).not.toContain(token.trim())
  },
)

test('addresses: read as they are written, and nothing is looked up', () => {
  expect(parseAddress('localhost:0')).toEqual({ host: '127.0.0.1', port: 0 })
  for (const wrong of [
    '',
    ':80',
    '127.0.0.1',
    '127.1:80',
    '1.2.3.4:65536',
    '::1:80',
    '[1.2.3.4]:80',
    '[fe80::1%eth0]:80',
    '*:80',
  ])
    expect([wrong, parseAddress(wrong)]).toEqual([wrong, null])
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 0, max: 65_535 }), (host, port) => {
      const text = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
      expect(parseAddress(text)).toEqual({ host, port })
      expect(isLoopback({ host, port })).toBe(host === '::1' || host.startsWith('127.'))
    }),
  )
})

describe('thousands of documents: settings, or errors with their place; never anything else', () => {
  const keys = [...Object.keys(serveSchema.shape), 'name', 'source', 'datadir', 'command', 'timeout', ...HOOK_EVENTS]
  const word = fc.oneof(fc.constantFrom(...keys), fc.string({ maxLength: 8 }))
  const { document } = fc.letrec(tie => ({
    document: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.constantFrom('5s', '127.0.0.1:1', '/a')),
      fc.array(tie('document'), { maxLength: 4 }),
      fc.dictionary(word, tie('document'), { maxKeys: 5 }),
    ),
  }))

  const check = (text: string) => {
    for (const problem of problemsOf(text)) expect(problem).toMatch(/^(serve\.yaml:\d+:\d+( \S.*)?: \S|and \d+ more)/)
  }
  test('of plain data', () => {
    fc.assert(
      fc.property(fc.dictionary(word, document, { maxKeys: 6 }), data => check(JSON.stringify(data))),
      { numRuns: 3000 },
    )
  })
  test('of any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), check), { numRuns: 1000 })
  })
  test('of a whole file with one character changed', () => {
    const change = fc.tuple(fc.nat({ max: FULL.length - 1 }), fc.string({ minLength: 0, maxLength: 2 }))
    fc.assert(
      fc.property(change, ([at, by]) => check(FULL.slice(0, at) + by + FULL.slice(at + 1))),
      { numRuns: 1500 },
    )
  })
})
