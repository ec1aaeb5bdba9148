import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { fingerprint, startServer } from '../../scripts/sample/server.ts'
import { type Chain, makeChain } from './make-chain.ts'
import { expectFailure, expectSuccess, type Workspace, workspace } from './workspace.ts'

/** A full backup and three incrementals, all taken while the server was written to. */
let chain: Chain
beforeAll(async () => {
  chain = await makeChain(join(inject('sharedFolder'), 'chain'), {
    megabytes: 8,
    fullRedoMegabytes: 4,
    incrementals: 3,
    incrementalRedoMegabytes: 3,
  })
})

/** Elements of the chain by number: 0 is the full; a form for all of them. */
const pick = (form: 'bare' | 'zst', ...numbers: number[]): string[] =>
  numbers.map(number => chain.elements[number]![form])

async function expectTables(at: Workspace, last: number): Promise<void> {
  const log = join(at.dir, 'server.log')
  const server = await startServer(at.datadir, log)
  try {
    expect(await fingerprint(server)).toEqual(chain.elements[last]!.truth)
  } finally {
    await server.stop()
    rmSync(log)
  }
}

describe('restores to the tables of its last element', () => {
  test.for<[form: 'bare' | 'zst', prefetch: 'auto' | 'off', last: number]>([
    ['bare', 'auto', 3],
    ['bare', 'off', 3],
    ['zst', 'auto', 3],
    ['zst', 'off', 2],
    ['zst', 'auto', 1],
  ])('%s, prefetch %s, up to element %i', async ([form, prefetch, last]) => {
    const at = workspace()
    const sources = pick(form, ...Array.from({ length: last + 1 }, (_, index) => index))
    expectSuccess(await at.restore(sources, { args: ['--prefetch', prefetch] }))
    expect(at.state()).toMatchObject({
      status: 'succeeded',
      position: last + 1,
      chainLength: last + 1,
      tools: [],
      spans: [],
    })
    await expectTables(at, last)
  })
})

test('progress, phase and step begin anew with every element, and are never those of the one before', async () => {
  const at = workspace()
  const ended = await at.restore(pick('bare', 0, 1, 2, 3), { args: ['--prefetch', 'off', '--json'] })
  expectSuccess(ended)
  const states = ended.stdout
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as Shown)
    .filter(({ type, status }) => type === 'state' && status === 'running')
  const groups = Map.groupBy(states, ({ chain_position: position, phase }) => `${phase} ${position}`)
  expect([...groups.keys()].filter(key => !key.startsWith('getting_backup_info'))).toEqual([
    ...[1, 2, 3, 4].flatMap(position => [`restoring_basebackup ${position}`, `preparing_backup ${position}`]),
    'finalizing 4',
  ])
  for (const [key, [first, ...rest]] of groups) {
    expect(first, key).toMatchObject({ step: null, percent: null })
    let percent = 0
    for (const shown of rest) {
      expect(shown.percent ?? percent, key).toBeGreaterThanOrEqual(percent)
      percent = shown.percent ?? percent
    }
    if (!key.startsWith('getting')) expect(first!.chain_length).toBe(4)
  }
})

/** What `--json` prints of a state. */
interface Shown {
  type: string
  status: string
  phase: string
  step: string | null
  percent: number | null
  chain_position: number | null
  chain_length: number | null
}

describe('is refused before anything is extracted when the metadata can be seen', () => {
  test.for<[what: string, numbers: number[], element: RegExp]>([
    [
      'in the wrong order',
      [0, 2, 1, 3],
      /element 2 \(\S*inc2\.xb\).*it follows element 3 \(\S*inc1\.xb\), the order is wrong/,
    ],
    ['with one missing', [0, 1, 3], /element 3 \(\S*inc3\.xb\).*a backup between them is missing/],
    ['with one twice', [0, 1, 1, 2], /element 3 \(\S*inc1\.xb\) is the same backup as element 2/],
    ['that is an incremental alone', [1], /element 1 \(\S*inc1\.xb\) is an incremental/],
    ['with a full in the middle', [0, 1, 0], /element 3 \(\S*full\.xb\) is a full backup/],
  ])('%s', async ([, numbers, element]) => {
    const at = workspace()
    const ended = await at.restore(pick('bare', ...numbers))
    expectFailure(at, ended, 'chain_broken')
    expect(ended.stderr).toMatch(element)
    expect(at.state()).toMatchObject({ status: 'failed', phase: 'failed', runs: [] })
  })
})

describe('is refused by the names of the first files of a packed stream', () => {
  test.for<[what: string, numbers: number[], element: RegExp]>([
    ['that is an incremental alone', [1], /element 1 \(\S*inc1\.zst\) is an incremental/],
    ['with a full in the middle', [0, 1, 0], /element 3 \(\S*full\.zst\) is a full backup/],
  ])('%s', async ([, numbers, element]) => {
    const at = workspace()
    const ended = await at.restore(pick('zst', ...numbers))
    expectFailure(at, ended, 'chain_broken')
    expect(ended.stderr).toMatch(element)
    expect(at.state()).toMatchObject({ runs: [] })
  })
})

describe('is refused when it is extracted where only that tells', () => {
  test.for<[what: string, numbers: number[], element: RegExp, prepared: boolean]>([
    ['in the wrong order', [0, 2, 1, 3], /element 2 \(\S*inc2\.zst\) begins at LSN/, false],
    ['with one missing', [0, 1, 3], /element 3 \(\S*inc3\.zst\).*a backup between them is missing/, true],
    ['with one twice', [0, 1, 1, 2], /element 3 \(\S*inc1\.zst\) is the same backup as element 2/, true],
  ])('%s', async ([, numbers, element, prepared]) => {
    const at = workspace()
    const ended = await at.restore(pick('zst', ...numbers), { args: ['--prefetch', 'off'] })
    expectFailure(at, ended, 'chain_broken')
    expect(ended.stderr).toMatch(element)
    // The element that does not fit is never applied.
    const ran = readdirSync(join(at.stateDir, at.state()!.restoreId)).join(' ')
    const bad = Number(/^error chain_broken: element (\d)/m.exec(ended.stderr)![1])
    expect(ran).toContain(`${bad}-extract`)
    expect(ran).not.toContain(`${bad}-prepare`)
    if (prepared) expect(ran).toContain(`${bad - 1}-prepare`)
  })
})
