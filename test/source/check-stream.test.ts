import { createHash } from 'node:crypto'
import { execa } from 'execa'
import { expect, test } from 'vitest'
import { streamCheckCommand } from '../../src/restore/plan/describe-backup.ts'
import { filterFailures } from '../../src/tool/filter-grammar.ts'
import { end, file, payload } from '../backup/xbstream-bytes.ts'

const { file: program, args } = streamCheckCommand()
const check = (input: Buffer) => execa(program, [...args], { input, encoding: 'buffer', reject: false })
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const GOOD = Buffer.concat([file('ibdata1', Buffer.alloc(3_000_000, 'page')), file('app/t.ibd', 'x')])

test('a good stream passes unchanged', async () => {
  const { stdout, exitCode } = await check(GOOD)
  expect([exitCode, sha(stdout)]).toEqual([0, sha(GOOD)])
})

test.each(['/etc/cron.d/x', '../../x', 'app/../../../x', 'x\0y', 'x\ny'])(
  'of a stream with the path %j nothing of that chunk passes',
  async path => {
    const hostile = Buffer.concat([GOOD, payload(path, 'evil'), end(path), GOOD])
    const { stdout, stderr, exitCode } = await check(hostile)
    expect(exitCode).toBe(1)
    expect(stdout.length).toBeLessThanOrEqual(GOOD.length + 14 + path.length)
    expect(Buffer.from(stdout).equals(hostile.subarray(0, stdout.length))).toBe(true)
    expect(Buffer.from(stdout).includes('evil')).toBe(false)
    expect(filterFailures(Buffer.from(stderr).toString())).toMatchObject([{ code: 'source_corrupt' }])
  },
)

test('a wrong checksum ends it as damage', async () => {
  const { exitCode, stderr } = await check(Buffer.concat([GOOD, payload('a', 'x', { crc: 1 })]))
  expect([exitCode, Buffer.from(stderr).toString()]).toEqual([1, expect.stringContaining('wrong checksum')])
})

test('a consumer that is gone is no fault of the stream', async () => {
  const many = execa(program, [...args], {
    input: Buffer.concat([GOOD, GOOD, GOOD]),
    reject: false,
    buffer: { stdout: false },
  })
  many.stdout.destroy()
  const { stderr } = await many
  expect(filterFailures(String(stderr))).toEqual([])
  expect(String(stderr)).toMatch(/Broken pipe/)
})
