import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startPipeline } from '../../src/process/pipeline.ts'
import { readExit } from '../../src/process/tool-exit.ts'
import { scratch } from '../support/scratch.ts'

test('a tool of another user has no right of root left; its status is written', async () => {
  const dir = scratch()
  const script = `id -u; id -g; id -G; grep -E "^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs)" /proc/self/status; ls ${dir} || exit 9`
  const stage = { name: 's', file: 'sh', args: ['-c', script], runAs: { uid: 12345, gid: 23456 } }
  const stdoutFd = openSync(join(dir, 'out'), 'w')
  const { tools } = await startPipeline({ stdin: 'ignore', runDir: dir, label: 'run', stdoutFd, stages: [stage] })
  closeSync(stdoutFd)
  expect(await tools[0]!.exited).toEqual({ code: 9, signal: null })
  const [uid, gid, groups, ...rights] = readFileSync(join(dir, 'out'), 'utf8').trim().split('\n')
  expect([uid, gid, groups]).toEqual(['12345', '23456', '23456'])
  const capabilities = rights.filter(line => /Cap(Prm|Eff|Inh|Amb)/.test(line))
  expect(capabilities).toHaveLength(4)
  expect(capabilities.every(line => line.endsWith('\t0000000000000000'))).toBe(true)
  expect(rights).toContain('NoNewPrivs:\t1')
  expect(readExit(join(dir, 'run-1-s.status'))).toEqual({ code: 9, signal: null })
})
