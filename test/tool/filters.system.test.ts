import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Command } from '../../src/tool/command.ts'
import { filterGrammar } from '../../src/tool/filter-grammar.ts'
import { COMPRESSIONS, decompressStage, gpgStage, opensslStage } from '../../src/tool/filters.ts'
import { judgePipeline } from '../../src/tool/judge-pipeline.ts'
import { fileScratch } from '../support/scratch.ts'
import { eventsOf, only } from './transcripts.ts'

/* The real programs, on good, cut, changed and foreign input. */

const directory = fileScratch()

const keyFile = join(directory, 'key')
const wrongKeyFile = join(directory, 'wrong')
writeFileSync(keyFile, 'secret\n')
writeFileSync(wrongKeyFile, 'something else\n')
const homedir = join(directory, 'gnupg')
mkdirSync(homedir, { mode: 0o700 })

// Random, so that it stays as long and any changed byte is in the data; an odd length, so that cuts fall inside blocks.
const content = randomBytes(1_500_001)
const foreign = randomBytes(100_000)

function run({ file, args }: Command, input: Buffer, stdout: 'pipe' | number = 'pipe') {
  const done = spawnSync(file, args, { input, stdio: ['pipe', stdout, 'pipe'], maxBuffer: 1 << 28 })
  const stderr = done.stderr.toString()
  const failures = only(eventsOf(filterGrammar(), stderr), 'failure')
  return { exit: { code: done.status, signal: done.signal }, stdout: done.stdout, stderr, failures }
}

/** The verdict on the one stage. */
function verdict(command: Command, role: 'decrypt' | 'decompress', input: Buffer, stdout: 'pipe' | number = 'pipe') {
  const { exit, failures, stderr } = run(command, input, stdout)
  return judgePipeline([{ program: command.file, role, exit, failures, lastWords: stderr.split('\n') }])?.code ?? null
}

function changed(data: Buffer): Buffer {
  const copy = Buffer.from(data)
  for (let index = 0; index < 8; index++) copy[700_000 + index]! ^= 0xff
  return copy
}

describe.each(COMPRESSIONS)('%s', compression => {
  const command = decompressStage(compression)
  const stored = execFileSync(compression, ['-c'], { input: content, maxBuffer: 1 << 28 })

  test('gives back what was stored', () => {
    const { exit, stdout, failures } = run(command, stored)
    expect(exit).toEqual({ code: 0, signal: null })
    expect(stdout.equals(content)).toBe(true)
    expect(failures).toEqual([])
  })

  test('cut: truncated', () =>
    expect(verdict(command, 'decompress', stored.subarray(0, 800_000))).toBe('source_truncated'))
  test('changed: corrupt', () => expect(verdict(command, 'decompress', changed(stored))).toBe('source_corrupt'))
  test('something else: unknown', () => expect(verdict(command, 'decompress', foreign)).toBe('source_unknown'))

  test('nowhere to write', () => {
    const full = openSync('/dev/full', 'w')
    // lz4 does not say why it could not write; that is then for the stage behind it to say.
    expect(verdict(command, 'decompress', stored, full)).toBe(compression === 'lz4' ? 'extract_failed' : 'disk_full')
    closeSync(full)
  })
})

test('a zstd stream with a window above 128 MiB', () => {
  // The window shrinks to the data's known size, so the size must not be known: no --stream-size, input by pipe.
  const stored = execFileSync('zstd', ['-c', '-1', '--long=30'], { input: content, maxBuffer: 1 << 28 })
  expect(run(decompressStage('zstd'), stored).stdout.equals(content)).toBe(true)
  expect(run({ file: 'zstd', args: ['-dc'] }, stored).failures.map(({ code }) => code)).toEqual(['memory'])
})

describe('gpg', () => {
  const command = gpgStage({ keyFile, homedir })
  const stored = (() => {
    const home = join(directory, 'gnupg-of-the-maker')
    mkdirSync(home, { mode: 0o700 })
    const options = ['--homedir', home, '--batch', '--quiet', '--no-tty', '--pinentry-mode', 'loopback']
    const made = spawnSync('gpg', [...options, '--compress-algo', 'none', '--passphrase-file', keyFile, '-c'], {
      input: content,
      maxBuffer: 1 << 28,
    })
    // Encrypting, unlike decrypting, starts an agent.
    execFileSync('gpgconf', ['--homedir', home, '--kill', 'gpg-agent'])
    expect(made.status).toBe(0)
    return made.stdout
  })()

  test('gives back what was stored, and leaves no agent', () => {
    const { exit, stdout } = run(command, stored)
    expect(exit.code).toBe(0)
    expect(stdout.equals(content)).toBe(true)
    expect(readdirSync(homedir).filter(name => name.startsWith('S.gpg-agent'))).toEqual([])
  })

  test('wrong key', () => {
    expect(verdict(gpgStage({ keyFile: wrongKeyFile, homedir }), 'decrypt', stored)).toBe('wrong_key')
  })
  test('no key file', () => {
    expect(verdict(gpgStage({ keyFile: join(directory, 'none'), homedir }), 'decrypt', stored)).toBe('key_missing')
  })
  test('cut', () => expect(verdict(command, 'decrypt', stored.subarray(0, 800_000))).toBe('source_truncated'))
  test('changed', () => expect(verdict(command, 'decrypt', changed(stored))).toBe('source_corrupt'))
  test('nowhere to write', () => {
    const full = openSync('/dev/full', 'w')
    expect(verdict(command, 'decrypt', stored, full)).toBe('disk_full')
    closeSync(full)
  })
  test('the secret is not among the arguments', () => expect(command.args.join(' ')).not.toContain('secret'))
})

describe('openssl', () => {
  const command = opensslStage({ keyFile, cipher: 'aes-256-cbc' })
  const stored = execFileSync('openssl', ['enc', '-aes-256-cbc', '-pbkdf2', '-pass', `file:${keyFile}`], {
    input: content,
    maxBuffer: 1 << 28,
  })

  test('gives back what was stored', () => {
    const { exit, stdout } = run(command, stored)
    expect(exit.code).toBe(0)
    expect(stdout.equals(content)).toBe(true)
  })

  test('another cipher', () => {
    const ctr = execFileSync('openssl', ['enc', '-aes-128-ctr', '-pbkdf2', '-pass', `file:${keyFile}`], {
      input: content,
      maxBuffer: 1 << 28,
    })
    expect(run(opensslStage({ keyFile, cipher: 'aes-128-ctr' }), ctr).stdout.equals(content)).toBe(true)
  })

  test('wrong key: what follows cannot read it', () => {
    const zstd = execFileSync('zstd', ['-c'], { input: content, maxBuffer: 1 << 28 })
    const encrypted = execFileSync('openssl', ['enc', '-aes-256-cbc', '-pbkdf2', '-pass', `file:${keyFile}`], {
      input: zstd,
      maxBuffer: 1 << 28,
    })
    const first = run(opensslStage({ keyFile: wrongKeyFile, cipher: 'aes-256-cbc' }), encrypted)
    const second = run(decompressStage('zstd'), first.stdout)
    const stages = [
      { program: 'openssl', role: 'decrypt' as const, ...first, lastWords: first.stderr.split('\n') },
      { program: 'zstd', role: 'decompress' as const, ...second, lastWords: second.stderr.split('\n') },
    ]
    expect(judgePipeline(stages)).toMatchObject({ code: 'wrong_key', stage: 0 })
  })

  test('no key file', () => {
    expect(verdict(opensslStage({ keyFile: join(directory, 'none'), cipher: 'aes-256-cbc' }), 'decrypt', stored)).toBe(
      'key_missing',
    )
  })
  test('cut inside a block', () =>
    expect(verdict(command, 'decrypt', stored.subarray(0, 800_003))).toBe('source_truncated'))
  test('cut between blocks', () =>
    expect(verdict(command, 'decrypt', stored.subarray(0, 800_000))).toBe('source_truncated'))
  test('not encrypted at all', () => expect(verdict(command, 'decrypt', foreign)).toBe('source_unknown'))
  test('no such cipher', () => {
    expect(verdict(opensslStage({ keyFile, cipher: 'rot-13' }), 'decrypt', stored)).toBe('config_invalid')
  })
})
