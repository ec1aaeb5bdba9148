import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { makeLinuxPackages } from '../../scripts/package/linux-packages.ts'
import type { Backup } from '../integration/make-backup.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import { until } from '../support/until.ts'
import { type Machine, machine } from './chroot.ts'
import { checksumsOf } from './restored.ts'

const VERSION = '0.9.0'
const folder = mkdtempSync(join(tmpdir(), 'ra-packages-'))
let backup: Backup
let host: Machine
let deb: string
let rpm: string

beforeAll(async () => {
  ;[deb, rpm] = (await makeLinuxPackages(inject('singleFile'), folder, VERSION)) as [string, string]
  host = await machine('bookworm', ['mariadb-backup', 'mariadb-client', 'mariadb-server-core', 'zstd'])
  backup = await sharedBackup()
  copyFileSync(backup.full.zst, join(host.root, 'full.xb.zst'))
})
afterAll(async () => {
  await host.close()
  rmSync(folder, { recursive: true })
})

const sh = async (command: string): Promise<string> => {
  const { code, stdout, stderr } = await host.run(['sh', '-c', command])
  expect(code, stderr).toBe(0)
  return stdout
}

/** The same package with a higher version. */
async function newerDeb(): Promise<string> {
  const [tree, path] = [join(folder, 'newer'), join(folder, 'newer.deb')]
  await execa('dpkg-deb', ['--raw-extract', deb, tree])
  const control = join(tree, 'DEBIAN/control')
  writeFileSync(control, readFileSync(control, 'utf8').replace(`Version: ${VERSION}`, 'Version: 0.9.1'))
  await execa('dpkg-deb', ['-Znone', '--build', tree, path])
  rmSync(tree, { recursive: true })
  return path
}

async function install(path: string): Promise<void> {
  copyFileSync(path, join(host.root, basename(path)))
  await sh(`dpkg --install /${basename(path)}`)
}

test('lintian finds no error in the deb', async () => {
  const { stdout } = await execa('lintian', ['--allow-root', '--fail-on', 'none', deb])
  expect(stdout.split('\n').filter(line => line.startsWith('E:'))).toEqual([])
})

test('the deb is installed, upgraded while a prepare runs, removed and purged', async () => {
  await install(deb)
  expect(await sh('restore-agent --version')).toMatch(/^\d+\.\d+\.\d+\n$/)
  expect(await sh('ls /etc/restore-agent /usr/lib/systemd/system/restore-agent.service')).toContain('serve.yaml')
  const tool = '/opt/mariadb-backup'
  const script = '#!/bin/sh\ncase "$*" in *--prepare*) kill -STOP $$;; esac\nexec /usr/bin/mariadb-backup "$@"\n'
  writeFileSync(join(host.root, tool), script, { mode: 0o755 })
  const config = {
    state_dir: '/var/lib/restore-agent',
    defaults: { datadir: '/srv/data', owner: 'mysql:mysql', tool_path: tool },
    backups: [{ name: 'full', source: '/full.xb.zst' }],
  }
  const file = join(host.root, 'etc/restore-agent/serve.yaml')
  writeFileSync(file, JSON.stringify(config))

  // What restore-agent.service runs, and what systemd sends with KillMode=process: SIGTERM to the agent alone.
  const unit = readFileSync(join(host.root, 'usr/lib/systemd/system/restore-agent.service'), 'utf8')
  expect(unit).toContain('KillMode=process')
  const command = /^ExecStart=(.*)$/m.exec(unit)![1]!.split(' ')
  const socket = join(host.root, 'var/lib/restore-agent/agent.sock')
  const ask = async (path: string, ...more: string[]) => {
    const { stdout } = await execa('curl', ['-s', '--unix-socket', socket, ...more, `http://a${path}`], {
      reject: false,
    })
    return stdout
  }
  const first = host.start(command)
  await until(async () => (await ask('/readyz', '-w', '%{http_code}')).endsWith('200'))
  await ask('/restore', '-X', 'POST', '-H', 'content-type: application/json', '-d', '{"backup":"full"}')
  // The same program is also asked for its version.
  const isPrepare = (line: string) => line.startsWith(`/bin/sh ${tool}`) && line.includes('--prepare')
  const stopped = () => host.processes().find(({ command: line }) => isPrepare(line))
  const { pid } = await until(stopped, 'the stopped tool', 60_000)

  await install(await newerDeb())
  expect(await sh('dpkg-query --status restore-agent')).toContain('\nVersion: 0.9.1\n')
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(config)
  first.child.kill('SIGTERM')
  expect((await first.ended).code).toBe(0)
  expect(stopped()?.pid).toBe(pid)
  const second = host.start(command)
  await until(async () => (await ask('/readyz', '-w', '%{http_code}')).endsWith('200'))
  process.kill(pid, 'SIGCONT')
  const done = async () => JSON.parse((await ask('/status/restore')) || '{}').phase === 'completed'
  await until(done, 'completed', 60_000)
  second.child.kill('SIGTERM')
  await second.ended
  expect(await checksumsOf(host, '/srv/data')).toEqual(backup.checksums.full)

  await sh('dpkg --remove restore-agent')
  expect(existsSync(join(host.root, 'usr/bin/restore-agent'))).toBe(false)
  expect(existsSync(file)).toBe(true)
  expect(existsSync(join(host.root, 'var/lib/restore-agent/state.json'))).toBe(true)
  await sh('dpkg --purge restore-agent')
  expect(existsSync(file)).toBe(false)
  expect(existsSync(join(host.root, 'var/lib/restore-agent'))).toBe(false)
  expect(existsSync(join(host.root, 'srv/data/ibdata1'))).toBe(true)
})

test('a restore has every right it needs of those that the unit leaves', async () => {
  const unit = readFileSync('deploy/systemd/restore-agent.service', 'utf8')
  const rights = /^CapabilityBoundingSet=(.*)$/m
    .exec(unit)![1]!
    .toLowerCase()
    .replaceAll('cap_', '+')
    .replaceAll(' ', ',')
  copyFileSync(inject('singleFile'), join(host.root, 'opt/restore-agent'))
  const args = '/full.xb.zst --datadir /srv/limited --state-dir /srv/state --owner mysql:mysql --start-check'
  const limits = `setpriv --no-new-privs --bounding-set=-all,${rights}`
  const { code, stderr } = await host.run(['sh', '-c', `${limits} /opt/restore-agent restore ${args}`])
  expect(code, stderr).toBe(0)
  expect(await checksumsOf(host, '/srv/limited')).toEqual(backup.checksums.full)
})

test('systemd takes the unit', async () => {
  const unit = join(folder, 'restore-agent.service')
  const text = readFileSync('deploy/systemd/restore-agent.service', 'utf8')
  // Its program and its manual are not installed on this machine.
  writeFileSync(unit, text.replace('/usr/bin/restore-agent', '/bin/true').replace(/^Documentation=.*\n/m, ''))
  const { stdout, stderr, exitCode } = await execa('systemd-analyze', ['verify', '--man=no', unit], { reject: false })
  expect([exitCode, `${stdout}${stderr}`]).toEqual([0, ''])
})

test('the rpm is installed into an empty root', async () => {
  const root = join(folder, 'rpm-root')
  mkdirSync(root)
  await execa('rpm', ['--root', root, '--initdb'])
  // No scripts and no dependencies: there is no shell and no libc in an empty root.
  await execa('rpm', ['--root', root, '--install', '--nodeps', '--noscripts', rpm])
  expect((await execa(join(root, 'usr/bin/restore-agent'), ['--version'])).stdout).toMatch(/^\d/)
  const { stdout } = await execa('rpm', ['--root', root, '-q', '--configfiles', 'restore-agent'])
  expect(stdout).toBe('/etc/restore-agent/serve.yaml')
  const requires = (await execa('rpm', ['-qp', '--requires', rpm])).stdout
  expect(requires).toContain('glibc >= 2.28')
})

test('the completions name every command and every flag of restore, and their shells can read them', async () => {
  await execa('dpkg-deb', ['--extract', deb, join(folder, 'tree')])
  const share = join(folder, 'tree/usr/share')
  const bash = join(share, 'bash-completion/completions/restore-agent')
  await execa('bash', ['-n', bash])
  const complete = async (...words: string[]) => {
    const script = `. ${bash}; COMP_WORDS=(${words.map(word => `'${word}'`).join(' ')}); COMP_CWORD=$((\${#COMP_WORDS[@]}-1))
      compopt() { :; }; _restore_agent; printf '%s\\n' "\${COMPREPLY[@]}"`
    return (await execa('bash', ['-c', script])).stdout.split('\n')
  }
  expect(await complete('restore-agent', 'ser')).toEqual(['serve'])
  expect(await complete('restore-agent', 'restore', '--datad')).toEqual(['--datadir'])
  for (const path of ['zsh/vendor-completions/_restore-agent', 'fish/vendor_completions.d/restore-agent.fish'])
    expect(readFileSync(join(share, path), 'utf8')).toMatch(/datadir[\s\S]*start-check|start-check[\s\S]*datadir/)
  const { stderr } = await execa('man', [
    '--warnings',
    '-E',
    'UTF-8',
    '-l',
    '-Tutf8',
    '-Z',
    join(share, 'man/man1/restore-agent.1.gz'),
  ])
  expect(stderr).toBe('')
})
