import { describe, expect, test } from 'vitest'
import { shell } from '../../../src/cli/dry-run.ts'
import { makePlan } from '../../../src/restore/plan/build-plan.ts'
import type { PlanStep } from '../../../src/restore/plan/plan.ts'
import { sampleParts } from '../../support/samples.ts'

/** A plan as `--dry-run` prints it. */
const told = (changes: Parameters<typeof sampleParts>[0]) => makePlan(sampleParts(changes)).steps.map(tellStep)
const tellStep = (step: PlanStep): string =>
  step.kind === 'extract' ? step.stages.map(shell).join(' | ') : 'command' in step ? shell(step.command) : step.kind

const TARGET = '/data/mysql.restore-ID'
const PREPARE = `/usr/bin/mariadb-backup --prepare --target-dir=${TARGET} --use-memory=1073741824`
const MOVE_BACK = `/usr/bin/mariadb-backup --defaults-file=${TARGET}/backup-my.cnf --move-back --target-dir=${TARGET} --datadir=/data/mysql --innodb-undo-directory=/data/mysql`

test('a bare stream is extracted, prepared, moved and verified', () => {
  expect(told({})).toEqual([`/usr/bin/mbstream -x -C ${TARGET}`, PREPARE, MOVE_BACK, 'verify'])
})

test('layers are taken off from the outermost', () => {
  expect(told({ toolVersion: '10.11.19-MariaDB', elements: [{ description: { layers: ['gpg', 'zstd'] } }] })[0]).toBe(
    `gpg -dc | zstd -dc | /usr/bin/mbstream -x -C ${TARGET}`,
  )
})

describe('paths in a stream are checked in front of an extractor that may write unsafe ones', () => {
  const packed = { description: { layers: ['zstd' as const] } }
  test.each([
    ['mariadb-backup', '10.11.6-MariaDB', true],
    ['mariadb-backup', '10.11.17-MariaDB', false],
    ['mariadb-backup', '11.8.6-MariaDB', true],
    ['mariadb-backup', '11.8.7-MariaDB', false],
    ['mariadb-backup', '12.3.1-MariaDB', true],
    ['xtrabackup', '8.4.0-6', true],
  ] as const)('%s %s: %s', (tool, toolVersion, isChecked) => {
    const [extract] = told({ tool, toolVersion, elements: [packed] })
    expect(extract?.startsWith('zstd -dc | check | /usr/bin/')).toBe(isChecked)
  })
  test('of a pipe too, and not of a bare stream in a file, whose chunk headers were read', () => {
    const old = { toolVersion: '10.11.6-MariaDB' }
    const pipe = { source: { kind: 'stdin' }, identity: null, description: { complete: true } } as const
    expect(told({ ...old, elements: [pipe] })[0]).toMatch(/^check \| /)
    expect(told({ ...old, elements: [{ ...pipe, identity: { size: '1' } }] })[0]).toMatch(/^\/usr\/bin\/mbstream/)
    expect(told({ ...old, elements: [{ identity: { size: '1' } }] })[0]).toMatch(/^\/usr\/bin\/mbstream/)
  })
})

test('a directory is copied; in place it is its own target dir and nothing is brought', () => {
  const directory = { source: { kind: 'directory', path: '/backups/full' } } as const
  expect(told({ elements: [directory] })[0]).toBe(
    `cp --archive --no-preserve=mode --dereference --reflink=auto -- /backups/full/. ${TARGET}`,
  )
  const plan = makePlan(sampleParts({ elements: [directory], options: { inPlace: true } }))
  expect(plan).toMatchObject({ targetDir: '/backups/full', inPlace: true })
  expect(plan.steps.map(step => step.kind)).toEqual(['prepare', 'move_back', 'verify'])
})

test('a prepared directory skips prepare', () => {
  const plan = makePlan(
    sampleParts({
      elements: [{ source: { kind: 'directory', path: '/backups/full' }, description: { prepared: true } }],
    }),
  )
  expect(plan.steps.map(step => step.kind)).toEqual(['copy', 'move_back', 'verify'])
})

test('a stream is never its own target dir', () => {
  const plan = makePlan(sampleParts({ options: { inPlace: true } }))
  expect(plan).toMatchObject({ inPlace: false, targetDir: TARGET })
})

describe('a chain', () => {
  test('is brought and prepared element by element, moved back once', () => {
    expect(told({ elements: [{}, {}, {}] })).toEqual([
      `/usr/bin/mbstream -x -C ${TARGET}`,
      PREPARE,
      `/usr/bin/mbstream -x -C ${TARGET}-inc1`,
      PREPARE.replace(' --use', ` --incremental-dir=${TARGET}-inc1 --use`),
      `/usr/bin/mbstream -x -C ${TARGET}-inc2`,
      PREPARE.replace(' --use', ` --incremental-dir=${TARGET}-inc2 --use`),
      MOVE_BACK,
      'verify',
    ])
  })

  test('of xtrabackup applies the log only, until its last element', () => {
    const prepares = told({ tool: 'xtrabackup', elements: [{}, {}] }).filter(step => step.includes('--prepare'))
    expect(prepares.map(step => step.includes('--apply-log-only'))).toEqual([true, false])
  })
})

describe('what is compressed inside an xbstream', () => {
  const compressed = (toolVersion: string) =>
    told({ tool: 'xtrabackup', toolVersion, parallel: 4, elements: [{ description: { innerCompression: 'zst' } }] })

  test('is decompressed by the extractor where it can', () => {
    expect(compressed('8.0.35-33').slice(0, 2)).toEqual([
      `/usr/bin/xbstream -x -C ${TARGET} --parallel=4 --decompress --decompress-threads=4`,
      `/usr/bin/xtrabackup --prepare --target-dir=${TARGET} --use-memory=1073741824 --parallel=4`,
    ])
  })

  test('is decompressed by the tool afterwards where it cannot', () => {
    expect(compressed('8.0.28-20').slice(0, 2)).toEqual([
      `/usr/bin/xbstream -x -C ${TARGET} --parallel=4`,
      `/usr/bin/xtrabackup --no-defaults --decompress --remove-original --parallel=4 --target-dir=${TARGET}`,
    ])
  })

  test('and encrypted: the key is named by its file', () => {
    const steps = told({
      tool: 'xtrabackup',
      innerKey: { keyFile: '/keys/k', algorithm: 'AES256' },
      elements: [{ description: { innerEncryption: true } }],
    })
    expect(steps[0]).toContain('--decrypt=AES256 --encrypt-key-file=/keys/k')
  })
})

test('an owner and a start check come last, in this order', () => {
  const plan = makePlan(sampleParts({ owner: { name: 'a:b', uid: 1, gid: 2 }, options: { startCheck: true } }))
  expect(plan.steps.slice(-3).map(step => step.kind)).toEqual(['verify', 'ownership', 'start_check'])
  expect(plan.steps.every(step => step.phase.length > 0 && step.element === 1)).toBe(true)
})

test('the target dir is the one asked for', () => {
  const plan = makePlan(sampleParts({ options: { targetDir: '/big/target' }, elements: [{}, {}] }))
  expect(plan.elements.map(element => element.directory)).toEqual(['/big/target', '/big/target-inc1'])
})

test('the same parts give the same plan', () => {
  expect(makePlan(sampleParts())).toEqual(makePlan(sampleParts()))
})
