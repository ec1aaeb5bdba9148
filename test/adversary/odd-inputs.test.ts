import {
  chownSync,
  closeSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { execa } from 'execa'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { payloadChunk, xbstream } from '../fixtures/xbstream-writer.ts'
import type { Backup } from '../integration/make-backup.ts'
import { checksums, startServer } from '../integration/private-server.ts'
import { sharedBackup } from '../integration/shared-backup.ts'
import {
  type Ended,
  mountTmpfs,
  startAgent,
  stoppedTool,
  stoppingTool,
  type Workspace,
  workspace,
} from '../integration/workspace.ts'
import { OTHER, rootsSecret } from './other-user.ts'

/** Inputs that nobody makes by accident: each ends soon, with one clear error or with equal tables. */
let backup: Backup
beforeAll(async () => {
  backup = await sharedBackup()
})

async function copyOf(at: Workspace, form: 'extracted' | 'prepared' = 'extracted'): Promise<string> {
  const source = join(at.dir, 'source')
  await execa('cp', ['-a', backup.full[form], source])
  return source
}

async function expectRightEnd(at: Workspace, ended: Ended): Promise<void> {
  const said = `${ended.stderr}${ended.stdout}`
  expect(said).not.toMatch(/error internal|^\s+at .*node:/m)
  expect(ended.signal, said).toBeNull()
  expect(ended.elapsedMs).toBeLessThan(60_000)
  if (ended.code !== 0) {
    expect(ended.stderr).toMatch(/^error \w+: \S/m)
    expect(ended.stderr).toMatch(/^hint: \S/m)
    return
  }
  const server = await startServer(at.datadir)
  expect(await checksums(server).finally(server.stop)).toEqual(backup.checksums.full)
}

describe('a directory source holds', () => {
  const ODD: Readonly<Record<string, (source: string, at: Workspace) => unknown>> = {
    'a FIFO where a tablespace should be': source => execa('mkfifo', [join(source, 'app/fifo.ibd')]),
    'a FIFO where its metadata should be': source => {
      rmSync(join(source, 'backup-my.cnf'))
      return execa('mkfifo', [join(source, 'backup-my.cnf')])
    },
    'a device without end': source => execa('mknod', [join(source, 'app/zero.ibd'), 'c', '1', '5']),
    'metadata that are a link to /dev/zero': (source, at) => {
      const name = readdirSync(source).find(file => file.endsWith('_checkpoints'))!
      rmSync(join(source, name))
      symlinkSync('/dev/zero', join(source, name))
      return at
    },
    'a link to the directory itself': source => symlinkSync('..', join(source, 'app/loop')),
    'ibdata1 as a directory': source => {
      rmSync(join(source, 'ibdata1'))
      mkdirSync(join(source, 'ibdata1'))
    },
    'a name with a newline and an escape': source =>
      writeFileSync(join(source, 'app/a\nerror disk_full: b\u001b[2J.ibd'), 'x'),
    'a name that is the word of success': source =>
      writeFileSync(join(source, 'app/completed OK!.ibd'), Buffer.alloc(65_536)),
    'a name that is the word for a full disk': source =>
      writeFileSync(join(source, 'app/No space left on device.frm'), 'x'),
    'a name of 255 bytes': source => writeFileSync(join(source, 'app', `${'n'.repeat(251)}.ibd`), Buffer.alloc(65_536)),
    'a name that is no UTF-8': source =>
      writeFileSync(Buffer.concat([Buffer.from(join(source, 'app/x')), Buffer.from([0xff]), Buffer.from('.ibd')]), 'x'),
  }
  test.for(Object.entries(ODD))('%s', async ([, make]) => {
    const at = workspace()
    const source = await copyOf(at)
    await make(source, at)
    const ended = await at.restore([source])
    await expectRightEnd(at, ended)
    expect(ended.stderr).not.toContain('\u001b[2J')
    expect(ended.stderr).not.toMatch(/^error disk_full/m)
  })

  test('a link of its owner’s to a file that only root may read: its content does not get out', async () => {
    const at = workspace()
    const source = await copyOf(at, 'prepared')
    const secret = rootsSecret(at.dir)
    symlinkSync(join(secret.path, 'id_rsa'), join(source, 'app/loot.frm'))
    await execa('chown', ['-R', '-h', `${OTHER}:${OTHER}`, source])
    lchownSync(join(source, 'app/loot.frm'), OTHER, OTHER)
    await at.restore([source], { args: ['--owner', `${OTHER}:${OTHER}`] })
    const found = await execa('grep', ['-rl', 'the private key of root', at.datadir], { reject: false })
    expect(found.stdout).toBe('')
  })
})

describe('a stream holds', () => {
  const huge = (field: 'length' | 'offset'): Buffer => {
    const chunk = payloadChunk('ibdata1', Buffer.alloc(100), 0)
    chunk.writeBigUInt64LE(2n ** 62n, 14 + 'ibdata1'.length + (field === 'length' ? 0 : 8))
    return chunk
  }
  const STREAMS: Readonly<Record<string, () => Buffer>> = {
    'a chunk of 2^62 bytes': () => huge('length'),
    'a chunk at offset 2^62': () => huge('offset'),
    'a path of 4 GB': () => {
      const chunk = payloadChunk('ibdata1', Buffer.alloc(100), 0)
      chunk.writeUInt32LE(0xffff_fff0, 10)
      return chunk
    },
    'an empty path': () => xbstream({ '': Buffer.from('x') }),
    'the same file twice': () =>
      Buffer.concat([xbstream({ ibdata1: Buffer.alloc(100) }), xbstream({ ibdata1: Buffer.alloc(100) })]),
    'a file in a file': () => xbstream({ ibdata1: Buffer.alloc(100), 'ibdata1/x': Buffer.alloc(100) }),
    'nothing but an end': () => xbstream({ ibdata1: Buffer.alloc(0) }),
    'twenty thousand names': () =>
      xbstream(Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`app/t${n}.ibd`, Buffer.from('x')]))),
  }
  test.for(Object.entries(STREAMS))('%s', async ([, make]) => {
    const at = workspace()
    const file = join(at.dir, 'odd.xb')
    writeFileSync(file, make())
    const ended = await at.restore([file], { args: ['--tool', 'mariadb-backup'] })
    expect(ended.code, ended.stderr).not.toBe(0)
    await expectRightEnd(at, ended)
  })

  test('zeros without end, packed into a few kilobytes', async () => {
    const at = workspace()
    const file = join(at.dir, 'bomb.zst')
    await execa('sh', ['-c', `head -c 1G /dev/zero | zstd -q -19 -T0 --long -o ${file}`])
    const ended = await at.restore([file], { args: ['--tool', 'mariadb-backup'] })
    expect(ended.code, ended.stderr).not.toBe(0)
    await expectRightEnd(at, ended)
  }, 180_000)

  test('more files than the disk has inodes: a full disk, and the backup is not to blame', async () => {
    const at = workspace()
    const disk = join(at.dir, 'disk')
    await mountTmpfs(disk, 512 * 1024 ** 2, 60)
    const ended = await at.restore([backup.full.bare], { args: ['--target-dir', join(disk, 'target')] })
    expect(ended.stderr).toMatch(/^error (disk_full|disk_space): /m)
    expect(at.state()?.phase ?? 'failed').toBe('failed')
  })
})

describe('names', () => {
  test.for(['$(touch pwned)', '; touch pwned;', "it's", '-rf', 'a b\tc', '%s%n', 'é\u0301', '*'])(
    '%j is only a name, of a backup and of a datadir',
    async name => {
      const at = workspace()
      const source = join(at.dir, `${name}.xb`)
      await execa('cp', [backup.full.bare, source])
      const ended = await startAgent([
        'restore',
        '--datadir',
        join(at.dir, name),
        '--state-dir',
        at.stateDir,
        '--',
        source,
      ]).ended
      expect(ended, ended.stderr).toMatchObject({ code: 0 })
      expect(readdirSync(join(at.dir, name))).toContain('ibdata1')
      expect(existsSync('pwned') || existsSync(join(at.dir, 'pwned'))).toBe(false)
    },
  )

  test.for(['root;id', '0:0:0', '-1:-1', 'root:', '\u001b[31m', '../root'])(
    '--owner %j is refused, and shown without its escapes',
    async owner => {
      const at = workspace()
      const ended = await at.restore([backup.full.bare], { args: [`--owner=${owner}`] })
      if (ended.code === 0) return expect(owner).toBe('root:')
      expect(ended.stderr).toMatch(/^error (usage|ownership_failed): /m)
      expect(ended.stderr).not.toContain('\u001b[31m')
    },
  )
})

describe('the agent’s own process', () => {
  test('SIGUSR1 opens no debugger for everybody on the machine', async () => {
    const at = workspace()
    const agent = at.start([backup.full.bare], { args: ['--tool-path', stoppingTool(at, '--prepare')] })
    const stopped = await stoppedTool(at)
    process.kill(agent.pid, 'SIGUSR1')
    await new Promise(resolve => setTimeout(resolve, 500))
    const open = await fetch('http://127.0.0.1:9229/json/list').then(
      () => true,
      () => false,
    )
    process.kill(stopped, 'SIGCONT')
    const ended = await agent.ended
    expect(open).toBe(false)
    expect(ended.stderr).not.toMatch(/Debugger listening/)
    expect(ended.code, ended.stderr).toBe(0)
  })

  test('its state dir lets nobody else in', async () => {
    const at = workspace()
    expect(await at.restore([backup.full.bare])).toMatchObject({ code: 0 })
    expect(statSync(at.stateDir).mode & 0o077).toBe(0)
  })

  test('the key of a backup is in no argument, log, state or environment of a tool', async () => {
    const at = workspace()
    const tool = join(at.dir, 'mariadb-backup')
    writeFileSync(tool, `#!/bin/sh\n{ env; ps axww; } >> ${at.dir}/seen\nexec mariadb-backup "$@"\n`, { mode: 0o755 })
    const args = ['--decrypt-key-file', backup.keyFile, '--tool-path', tool]
    expect(await at.restore([backup.full.gpg], { args })).toMatchObject({ code: 0 })
    const { stdout } = await execa('grep', ['-rl', backup.secret, at.dir], { reject: false })
    expect(stdout).toBe('')
  })
})

describe('configuration', () => {
  test('a YAML file whose aliases unfold to billions is refused', async () => {
    const at = workspace()
    const file = join(at.dir, 'restore.yaml')
    const levels = Array.from({ length: 30 }, (_, n) => `x${n + 1}: &x${n + 1} [*x${n}, *x${n}, *x${n}, *x${n}]`)
    writeFileSync(file, `x0: &x0 [a]\n${levels.join('\n')}\n`)
    const ended = await startAgent(['restore', '--config', file]).ended
    expect(ended.code, ended.stderr.slice(0, 500)).toBe(3)
    expect(ended.stderr.length).toBeLessThan(10_000)
  })

  test('a configuration that is a link to nowhere is refused', async () => {
    const at = workspace()
    const file = join(at.dir, 'restore.yaml')
    symlinkSync('/nowhere', file)
    const ended = await startAgent(['restore', '--config', file]).ended
    expect(ended.stderr).toMatch(/^error config_invalid: .*restore.yaml: no such file/m)
  })

  test('a redirect does not carry the token to another server', async () => {
    const got: (string | undefined)[] = []
    const listen = async (answer: Parameters<typeof createServer>[1]) => {
      const server = createServer(answer as never).listen(0, '127.0.0.1')
      onTestFinished(() => void server.close())
      await new Promise(resolve => server.once('listening', resolve))
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    }
    const thief = await listen(((
      request: { headers: { authorization?: string } },
      response: { end(text: string): void },
    ) => {
      got.push(request.headers.authorization)
      response.end('{}')
    }) as never)
    const first = await listen(((
      _: unknown,
      response: { writeHead(code: number, headers: object): { end(): void } },
    ) => {
      response.writeHead(302, { Location: `${thief}/status` }).end()
    }) as never)
    const at = workspace()
    const token = join(at.dir, 'token')
    closeSync(openSync(token, 'w', 0o600))
    writeFileSync(token, 'correct-horse-battery-staple\n')
    const ended = await startAgent(['status', '--url', first, '--token-file', token]).ended
    expect(ended.code).not.toBe(0)
    expect(got.filter(Boolean)).toEqual([])
  })
})

test('a datadir that is a link of another user’s is not followed with root’s rights', async () => {
  const at = workspace()
  const theirs = join(at.dir, 'theirs')
  mkdirSync(theirs)
  chownSync(theirs, OTHER, OTHER)
  const secret = rootsSecret(at.dir)
  rmSync(join(secret.path, 'id_rsa'))
  const before = secret.look()
  symlinkSync(secret.path, join(theirs, 'd'))
  lchownSync(join(theirs, 'd'), OTHER, OTHER)
  const args = ['--datadir', join(theirs, 'd'), '--state-dir', at.stateDir, '--owner', `${OTHER}:${OTHER}`]
  const ended = await startAgent(['restore', backup.full.bare, ...args]).ended
  expect(secret.look()).toEqual(before)
  expect(ended.code, ended.stderr).not.toBe(0)
  expect(lstatSync(join(theirs, 'd')).isSymbolicLink()).toBe(true)
})
