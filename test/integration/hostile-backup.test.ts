import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Backup } from './make-backup.ts'
import { checksums, startServer } from './private-server.ts'
import { sharedBackup } from './shared-backup.ts'
import { expectSuccess, type Workspace, workspace } from './workspace.ts'

/* Whoever wrote the backup must not run code or reach files through it. */

let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

/** The real tool, which keeps the backup-my.cnf that it is about to read, by what it is told to do. */
function keepingTool(at: Workspace): { args: readonly string[]; config: (what: string) => string } {
  const path = join(at.dir, 'mariadb-backup')
  const keep = `for arg; do case $arg in --target-dir=*) dir=\${arg#*=};; --prepare|--move-back) what=$arg;; esac; done
[ -n "$what" ] && cp "$dir/backup-my.cnf" "${at.dir}/seen$what"`
  writeFileSync(path, `#!/bin/sh\n${keep}\nexec /usr/bin/mariadb-backup "$@"\n`, { mode: 0o755 })
  return { args: ['--tool-path', path], config: what => readFileSync(join(at.dir, `seen--${what}`), 'utf8') }
}

async function hostileDirectory(at: Workspace, ...lines: readonly string[]): Promise<string> {
  const source = join(at.dir, 'source')
  await execa('cp', ['-a', backup.full.extracted, source])
  mkdirSync(join(source, 'plugins'))
  writeFileSync(join(source, 'plugins/evil.so'), 'code')
  appendFileSync(join(source, 'backup-my.cnf'), `${lines.join('\n')}\n`)
  return source
}

async function expectRestored(at: Workspace): Promise<void> {
  const server = await startServer(at.datadir)
  try {
    expect(await checksums(server)).toEqual(backup.checksums.full)
  } finally {
    await server.stop()
  }
}

const EVIL = [
  'plugin_load=evil.so',
  'plugin_dir=./plugins',
  '!include /etc/passwd',
  'tmpdir=/root',
  'general_log_file=/root/x',
]

describe('backup-my.cnf of a hostile backup', () => {
  test('loads no plugin, includes no file and names no path, in prepare and in move-back', async () => {
    const at = workspace()
    const tool = keepingTool(at)
    const source = await hostileDirectory(at, ...EVIL)
    const ended = await at.restore([source], { args: tool.args })
    expectSuccess(ended)
    expect(ended.stderr).toMatch(/not used: plugin_load, plugin_dir, !include, tmpdir, general_log_file/)
    for (const what of ['prepare', 'move-back']) {
      expect(tool.config(what)).toMatch(/^innodb_page_size=16384$/m)
      expect(tool.config(what)).not.toMatch(/plugin|include|tmpdir|general_log/)
    }
    const run = at.state()!.restoreId
    expect(readFileSync(join(at.stateDir, run, 'backup/1/backup-my.cnf.original'), 'utf8')).toContain(
      'plugin_load=evil.so',
    )
    expect(readFileSync(join(source, 'backup-my.cnf'), 'utf8')).toContain('plugin_load=evil.so')
    await expectRestored(at)
  })

  test('prepared in place too', async () => {
    const at = workspace()
    const tool = keepingTool(at)
    const source = await hostileDirectory(at, ...EVIL)
    expectSuccess(await at.restore([source], { args: [...tool.args, '--in-place'] }))
    expect(tool.config('prepare')).not.toMatch(/plugin|include|tmpdir|general_log/)
    await expectRestored(at)
  })

  test('that everybody may write is read by the tool all the same', async () => {
    const at = workspace()
    const tool = keepingTool(at)
    const source = await hostileDirectory(at)
    chmodSync(join(source, 'backup-my.cnf'), 0o666)
    expectSuccess(await at.restore([source], { args: tool.args }))
    const { stdout } = await execa('stat', ['-c', '%a', join(source, 'backup-my.cnf')])
    expect(stdout).toBe('666')
    expect(tool.config('prepare')).toMatch(/^innodb_page_size=16384$/m)
    expect(existsSync(at.datadir)).toBe(true)
    await expectRestored(at)
  })
})
