import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import type { RestoreStatusBody } from '../../src/server/api-schema.ts'
import type { Backup } from '../integration/make-backup.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { startAgent, workspace } from '../integration/workspace.ts'
import { until } from '../support/until.ts'

/**
 * A real daemon whose list has an older backup for the same datadir. While a tool says that this machine is at fault,
 * the newest backup fails and no older one is restored; for damaged bytes it is.
 */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** What the tool does in place of its work: in the extract (mbstream), or in the prepare (mariadb-backup). */
const FAULTS: readonly (readonly [string, 'mbstream' | 'mariadb-backup', string, readonly ErrorCode[]])[] = [
  [
    'EIO',
    'mbstream',
    'echo "mbstream: Error writing file \'./ibdata1\' (Errcode: 5 \\"Input/output error\\")" >&2; exit 1',
    ['io_error'],
  ],
  ['EIO in prepare', 'mariadb-backup', 'echo "[ERROR] InnoDB: fsync() returned 5" >&2; kill -ABRT $$', []],
  [
    'EIO of a read',
    'mariadb-backup',
    'echo "[ERROR] InnoDB: Operating system error number 5 in a file operation." >&2; echo "[ERROR] InnoDB: Database page corruption on disk or a failed read of file ./app/t1.ibd" >&2; exit 1',
    ['io_error'],
  ],
  [
    'EROFS',
    'mbstream',
    'echo "mbstream: Can\'t create/write to file \'./ibdata1\' (Errcode: 30 \\"Read-only file system\\")" >&2; exit 1',
    ['read_only'],
  ],
  [
    'ENOSPC',
    'mbstream',
    'echo "mbstream: Error writing file \'./ibdata1\' (Errcode: 28 \\"No space left on device\\")" >&2; exit 1',
    ['disk_full'],
  ],
  [
    'EDQUOT',
    'mariadb-backup',
    'echo "[ERROR] InnoDB: Operating system error number 122 in a file operation." >&2; exit 1',
    ['disk_full'],
  ],
  [
    'EMFILE',
    'mariadb-backup',
    'echo "[ERROR] InnoDB: Operating system error number 24 in a file operation." >&2; exit 1',
    ['open_files'],
  ],
  [
    'EACCES',
    'mbstream',
    'echo "mbstream: Can\'t create directory \'./app\' (Errcode: 13 \\"Permission denied\\")" >&2; exit 1',
    ['not_permitted'],
  ],
  [
    'no library',
    'mbstream',
    'echo "mbstream: error while loading shared libraries: libpcre2-8.so.0: cannot open shared object file" >&2; exit 127',
    ['tool_broken'],
  ],
  ['SIGILL', 'mariadb-backup', 'kill -ILL $$', ['tool_broken']],
  [
    'no TMPDIR',
    'mariadb-backup',
    'echo "mariadb-backup: Can\'t create/write to file \'/nowhere/ibXXXX\' (Errcode: 2 \\"No such file or directory\\")" >&2; exit 1',
    [],
  ],
  [
    'no memory',
    'mariadb-backup',
    'echo "[ERROR] InnoDB: Cannot allocate memory for the buffer pool" >&2; exit 1',
    ['memory'],
  ],
  [
    'no key',
    'mariadb-backup',
    'echo "[ERROR] InnoDB: Obtaining redo log encryption key version 1 failed (4294967295)." >&2; exit 1',
    ['key_missing'],
  ],
  ['no words', 'mariadb-backup', 'exit 1', []],
]

test('a daemon restores no older backup while this machine is at fault, and does when bytes are damaged', {
  timeout: 240_000,
}, async () => {
  const at = workspace()
  const fault = join(at.dir, 'fault')
  for (const tool of ['mariadb-backup', 'mbstream'] as const) {
    const word = tool === 'mbstream' ? '-x' : '--prepare'
    const script = `#!/bin/sh\ncase "$*" in *${word}*) [ -e ${fault}.${tool} ] && . ${fault}.${tool};; esac\nexec /usr/bin/${tool} "$@"\n`
    writeFileSync(join(at.dir, tool), script, { mode: 0o755 })
  }
  const damaged = join(at.dir, 'damaged.xb')
  const whole = readFileSync(backup.full.bare)
  writeFileSync(damaged, whole.subarray(0, whole.length / 2))
  const settings = {
    state_dir: 'state',
    defaults: { datadir: at.datadir, tool_path: join(at.dir, 'mariadb-backup'), retries: 0 },
    backups: [
      { name: 'damaged', source: damaged },
      { name: 'newest', source: backup.full.bare },
      { name: 'older', source: backup.full.zst },
    ],
  }
  writeFileSync(join(at.dir, 'serve.yaml'), JSON.stringify(settings))
  const daemon = startAgent(['serve', '--config', join(at.dir, 'serve.yaml')])
  onTestFinished(async () => {
    daemon.child.kill('SIGKILL')
    await daemon.ended
  })
  const socketPath = join(at.stateDir, 'agent.sock')
  await until(() => existsSync(socketPath), 'the socket')

  const restored = async (name: string): Promise<RestoreStatusBody> => {
    const { code, body } = await call(socketPath, 'POST', '/restore', { backup: name })
    expect(code, body).toBe(202)
    return until(async () => {
      const found = JSON.parse((await call(socketPath, 'GET', '/status/restore')).body) as RestoreStatusBody
      return found.status !== 'running' && found
    }, `the end of ${name}`)
  }

  for (const [what, tool, script, codes] of FAULTS) {
    writeFileSync(`${fault}.${tool}`, script)
    const ended = await restored('newest')
    writeFileSync(`${fault}.${tool}`, '')
    const { code } = ended.error!
    expect(ended, what).toMatchObject({ status: 'failed', phase: 'failed' })
    expect(ERRORS[code as ErrorCode].backup, `${what}: ${code}`).toBe(false)
    if (codes.length > 0) expect(codes, what).toContain(code)
    expect(at.state()!.backupIndex, what).toBe(0)
    expect(existsSync(at.datadir), what).toBe(false)
  }
  // The same daemon, list and tools: only the bytes differ.
  expect(await restored('damaged')).toMatchObject({ status: 'succeeded' })
  expect(at.state()!.backupIndex).toBe(1)
})

function call(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ code: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, headers: { 'content-type': 'application/json' } }, response => {
      let text = ''
      response.on('data', piece => {
        text += piece
      })
      response.on('end', () => resolve({ code: response.statusCode!, body: text }))
    })
    asked.on('error', reject).end(body && JSON.stringify(body))
  })
}
