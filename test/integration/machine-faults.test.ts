import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import type { Backup } from './make-backup.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, type Workspace, workspace } from './workspace.ts'

/* Faults of this machine under the real tools: no evidence against the backup, so no older one is restored. */

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** The real tools behind a script; `script` runs before each of them, with the tool's name in $name. */
function toolsBehind(at: Workspace, script: string): Readonly<Record<string, string>> {
  const bin = join(at.dir, 'bin')
  mkdirSync(bin)
  chmodSync(bin, 0o755)
  for (const name of ['mariadb-backup', 'mbstream']) {
    const skip = 'case "$*" in *--version*) exec /usr/bin/$name "$@";; esac'
    const text = `#!/bin/bash\nname=${name}\n${skip}\n${script}\nexec /usr/bin/$name "$@"\n`
    writeFileSync(join(bin, name), text, { mode: 0o755 })
  }
  return { PATH: `${bin}:${process.env.PATH}` }
}

const FAULTS: readonly (readonly [what: string, code: ErrorCode, script: (at: Workspace) => string])[] = [
  ['a limit on file sizes, in extract', 'file_size_limit', () => '[ $name = mbstream ] && ulimit -f 1000'],
  ['a limit on file sizes, in prepare', 'file_size_limit', () => 'case "$*" in *--prepare*) ulimit -f 1000;; esac'],
  ['a limit on open files', 'open_files', () => 'case "$*" in *--prepare*) ulimit -n 12;; esac'],
  [
    'an extractor without a library',
    'tool_broken',
    () =>
      '[ $name = mbstream ] && { echo "mbstream: error while loading shared libraries: libssl.so.3" >&2; exit 127; }',
  ],
  ['a processor without an instruction', 'tool_broken', () => 'case "$*" in *--prepare*) kill -ILL $$;; esac'],
  [
    'a target dir that somebody removes',
    'target_lost',
    at => `case "$*" in *--prepare*) rm -rf ${at.datadir}.restore-*;; esac`,
  ],
  [
    'a target dir that somebody removes in extract',
    'target_lost',
    at => `[ $name = mbstream ] && rm -rf ${at.datadir}.restore-*`,
  ],
  [
    'an error that nobody knows',
    'prepare_failed',
    () => 'case "$*" in *--prepare*) echo "[ERROR] InnoDB: Something odd" >&2; exit 1;; esac',
  ],
  [
    'a key that is not on this host',
    'key_missing',
    () =>
      'case "$*" in *--prepare*) echo "[ERROR] InnoDB: Obtaining redo log encryption key version 1 failed (4294967295)." >&2; exit 1;; esac',
  ],
]

describe('the newest backup is not given up', () => {
  test.each(FAULTS)('for %s: %s', async (_, code, script) => {
    const at = workspace()
    const config = join(at.dir, 'restore.yaml')
    writeFileSync(config, `older_backups: [[${backup.full.bare}]]\n`)
    const args = ['--config', config, '--retries', '0']
    const ended = await at.restore([backup.full.zst], { args, env: toolsBehind(at, script(at)) })
    expect(ended.stderr).toMatch(new RegExp(`^error ${code}: `, 'm'))
    expect(ended.stderr).not.toMatch(/older backup/)
    expect(ended.code).toBe(ERRORS[code].exit)
    expect(at.state()).toMatchObject({ phase: 'failed', status: 'failed', backupIndex: 0 })
  })
})

test.each(['/nonexistent', '/proc'])(
  'TMPDIR=%s does not disturb a restore: the tools get one in the target dir',
  async folder => {
    const at = workspace()
    const env = { ...toolsBehind(at, 'echo "$name $1 $TMPDIR" >&2'), TMPDIR: folder }
    const ended = await at.restore([backup.full.zst], { env })
    expectSuccess(ended)
    rmSync(join(at.dir, 'bin'), { recursive: true })
  },
)
