import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { existingAncestor, freeBytes, onSameFileSystem } from '../../src/process/file-system.ts'
import { processIn } from '../../src/process/process-in.ts'
import { directoryStats } from '../../src/restore/plan/describe-backup.ts'
import {
  checkDatadir,
  checkOutside,
  checkSpace,
  checkTargetDir,
  checkUnshared,
  checkWritable,
} from '../../src/restore/plan/prechecks.ts'
import { filesToMove, identityOf, removeCreated, undoPartialMove } from '../../src/restore/resume/cleanup.ts'
import type { CleanupLedger } from '../../src/restore/state/state.ts'
import { emptyLedger } from '../../src/restore/state/state-schema.ts'
import { makeDirectory } from '../../src/restore/steps/extract.ts'
import { setOwner } from '../../src/restore/steps/finalize.ts'
import { keepMetadata, moveRemnants } from '../../src/restore/steps/kept-files.ts'
import { scratch } from '../support/scratch.ts'

/** What is looked at, kept, moved and removed in real directories. */
function fill(folder: string, files: Readonly<Record<string, string>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  return folder
}

const all = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()

const refusal = (code: string) => expect.objectContaining({ code })

describe('the datadir', () => {
  test('may be absent or empty', () => {
    const folder = scratch()
    expect(checkDatadir(join(folder, 'none'))).toBe(false)
    expect(checkDatadir(folder)).toBe(true)
  })

  test('may not hold anything, or be no directory', () => {
    const folder = fill(scratch(), { x: '' })
    expect(() => checkDatadir(folder)).toThrow(refusal('datadir_not_empty'))
    expect(() => checkDatadir(join(folder, 'x'))).toThrow(refusal('datadir_not_empty'))
  })

  test('may be the root of an ext4 file system, which has lost+found', () => {
    const folder = fill(scratch(), { 'lost+found/x': '' })
    expect(checkDatadir(folder)).toBe(true)
    writeFileSync(join(folder, 'y'), '')
    expect(() => checkDatadir(folder)).toThrow(refusal('datadir_not_empty'))
  })

  test('may not lie below a file', () => {
    const folder = fill(scratch(), { file: '' })
    for (const path of [join(folder, 'file/data'), join(folder, 'file/a/b'), '/dev/full/x'])
      expect(() => checkDatadir(path), path).toThrow(refusal('usage'))
  })

  test('may not be where this user cannot look', () => {
    const folder = fill(scratch(), { 'closed/data/x': '' })
    chmodSync(folder, 0o755)
    for (const [path, mode] of [
      ['closed', 0o600],
      ['closed/data', 0o300],
    ] as const) {
      chmodSync(join(folder, path), mode)
      const isRoot = process.geteuid!() === 0
      if (isRoot) process.seteuid!(65_534)
      try {
        const refused = expect.objectContaining({
          message: expect.stringMatching(/^cannot look (?:at|into) \S+closed/),
        })
        expect(() => checkDatadir(join(folder, 'closed/data'))).toThrow(refused)
        expect(() => checkDatadir(join(folder, 'closed/data'))).toThrow(refusal('not_permitted'))
      } finally {
        if (isRoot) process.seteuid!(0)
      }
      chmodSync(join(folder, path), 0o755)
    }
  })

  test('may not be a link that leads nowhere: it could not be made', () => {
    const folder = scratch()
    symlinkSync(join(folder, 'nowhere'), join(folder, 'data'))
    expect(() => checkDatadir(join(folder, 'data'))).toThrow(refusal('datadir_not_empty'))
  })

  test('is somebody’s who may write to a file in it; one that only reads does not count where readers do not', async () => {
    const folder = fill(scratch(), { ibdata1: '' })
    for (const [mode, found] of [
      ['r', null],
      ['r+', { name: 'sleep' }],
      ['a', { name: 'sleep' }],
    ] as const) {
      const file = openSync(join(folder, 'ibdata1'), mode)
      const sleeper = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', file] })
      closeSync(file)
      try {
        await once(sleeper, 'spawn')
        expect(processIn(folder)).toMatchObject({ pid: sleeper.pid })
        const writer = processIn(folder, { readers: false })
        if (found === null) expect(writer, mode).toBeNull()
        else expect(writer, mode).toMatchObject({ pid: sleeper.pid, ...found })
      } finally {
        sleeper.kill('SIGKILL')
        await once(sleeper, 'exit')
      }
    }
  })

  test('may be where a shell stands', async () => {
    const folder = scratch()
    const sleeper = spawn('sleep', ['60'], { cwd: folder })
    try {
      await once(sleeper, 'spawn')
      expect(checkDatadir(folder)).toBe(true)
      expect(processIn(folder)).toBeNull()
    } finally {
      sleeper.kill('SIGKILL')
      await once(sleeper, 'exit')
    }
  })
})

describe('places', () => {
  test('a target dir is new, and neither in the datadir nor around it', () => {
    const folder = scratch()
    expect(() => checkTargetDir(folder, '/data')).toThrow(refusal('target_not_new'))
    expect(() => checkTargetDir(join(folder, 'data/t'), join(folder, 'data'))).toThrow(refusal('usage'))
    expect(() => checkTargetDir(join(folder, 'a'), join(folder, 'a/data'))).toThrow(refusal('usage'))
    expect(() => checkTargetDir(join(folder, 'a'), join(folder, 'a'))).toThrow(refusal('usage'))
    checkTargetDir(join(folder, 'data-new'), join(folder, 'data'))
  })

  test('what a link leads into is seen', () => {
    const folder = fill(scratch(), { 'real/data/x': '' })
    symlinkSync(join(folder, 'real'), join(folder, 'link'))
    expect(() => checkTargetDir(join(folder, 'link/data/t'), join(folder, 'real/data'))).toThrow(refusal('usage'))
    checkTargetDir(join(folder, 'link/t'), join(folder, 'real/data'))
  })

  test('neither place lies in a directory source, which may be the target dir itself', () => {
    const folder = fill(scratch(), { 'source/x': '' })
    const at = (name: string) => join(folder, name)
    expect(() => checkOutside(at('source'), at('source/t'), at('data'))).toThrow(refusal('usage'))
    expect(() => checkOutside(at('source'), at('source'), at('source/data'))).toThrow(refusal('usage'))
    checkOutside(at('source'), at('source'), at('source-data'))
  })

  test('a directory to consume shares nothing with another', async () => {
    const folder = fill(scratch(), { 'source/app/t.ibd': '', 'plain/x': '' })
    await checkUnshared(folder)
    linkSync(join(folder, 'source/app/t.ibd'), join(folder, 'snapshot'))
    await expect(checkUnshared(join(folder, 'source'))).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('app/t.ibd has another hard link'),
    })
    symlinkSync('x', join(folder, 'plain/link'))
    await expect(checkUnshared(join(folder, 'plain'))).rejects.toMatchObject({
      message: expect.stringContaining('plain/link is a symbolic link'),
    })
  })

  test('a directory that is made in between is not made again', () => {
    const folder = scratch()
    makeDirectory(join(folder, 'a/b'))
    expect(() => makeDirectory(join(folder, 'a/b'))).toThrow(refusal('target_not_new'))
    expect(() => makeDirectory('/proc/none')).toThrow(refusal('not_permitted'))
  })

  test('folders on the way can be entered by all, whatever the umask', () => {
    const folder = scratch()
    const umask = process.umask(0o077)
    try {
      makeDirectory(join(folder, 'a/b/c'))
    } finally {
      process.umask(umask)
    }
    const modes = ['a', 'a/b', 'a/b/c'].map(path => statSync(join(folder, path)).mode & 0o777)
    expect(modes).toEqual([0o755, 0o755, 0o700])
  })

  test('what does not exist counts as the folder it will be made in', () => {
    const folder = scratch()
    expect(existingAncestor(join(folder, 'a/b/c'))).toBe(folder)
    expect(onSameFileSystem(join(folder, 'a/b'), folder)).toBe(true)
    expect(onSameFileSystem('/proc/x', folder)).toBe(false)
    expect(freeBytes(join(folder, 'a'))).toBeGreaterThan(0)
    checkWritable(join(folder, 'a/b'), 'the datadir')
  })

  test('needs on one file system add up; an unknown one is told', () => {
    const folder = scratch()
    const half = freeBytes(folder) * 0.6
    const need = (what: string, bytes: number | null, leastBytes = 0) => ({
      path: join(folder, what),
      what,
      bytes,
      leastBytes,
    })
    expect(checkSpace([need('the target dir', half)])).toEqual([])
    expect(() => checkSpace([need('the target dir', half), need('the datadir', half)])).toThrow(
      expect.objectContaining({
        code: 'disk_space',
        message: expect.stringContaining('the target dir and the datadir'),
      }),
    )
    expect(checkSpace([need('the target dir', null)])).toEqual([expect.stringMatching(/unknown; .* are free/)])
    expect(() => checkSpace([need('the target dir', null, half), need('the datadir', half)])).toThrow(/need at least/)
  })
})

const fillingOf = (datadir: string, existed: boolean) => ({ datadir, existed, identity: identityOf(datadir) })

const ledger = (changes: Partial<CleanupLedger>): CleanupLedger => ({ ...emptyLedger(), ...changes })

/** A target dir whose files are listed, then moved into the datadir as the tool does. */
async function moved(files: Record<string, string>) {
  const folder = fill(
    scratch(),
    Object.fromEntries(Object.entries(files).map(([name, text]) => [`target/${name}`, text])),
  )
  const [target, datadir] = [join(folder, 'target'), join(folder, 'data')]
  const list = await filesToMove(target, datadir)
  renameSync(target, datadir)
  mkdirSync(target)
  return { folder, target, datadir, list, partialDatadir: fillingOf(datadir, false) }
}

describe('removal', () => {
  test('leaves a datadir alone that somebody created anew under the name', async () => {
    const { datadir, target, list, partialDatadir } = await moved({ z: 'moved' })
    rmSync(datadir, { recursive: true })
    fill(datadir, { mine: '' })
    await removeCreated(ledger({ partialDatadir, returnFilesTo: target }), list, target)
    await removeCreated(ledger({ partialDatadir: { ...partialDatadir, identity: null } }), list, target)
    expect(all(datadir)).toEqual(['mine'])
  })

  test('takes what was created, and nothing else, as often as it is run', async () => {
    const { folder, target, datadir, list, partialDatadir } = await moved({ 'app/z': '3', ibdata1: '4' })
    fill(folder, { 'target/x': '1', 'other/y': '2' })
    for (let run = 0; run < 2; run++)
      expect(await removeCreated(ledger({ created: [target], partialDatadir }), list, target)).toEqual([])
    expect(existsSync(datadir)).toBe(false)
    expect(all(folder)).toEqual(['other/y'])
  })

  test('leaves what somebody else put into the datadir, also under a name of a moved file', async () => {
    const { target, datadir, list, partialDatadir } = await moved({ 'app/a': '1', 'app/b': '2', ibdata1: '3' })
    rmSync(join(datadir, 'app/b'))
    fill(datadir, { 'app/b': 'theirs', 'app/c': 'theirs', notes: 'theirs' })
    symlinkSync('/etc/hostname', join(datadir, 'link'))
    const left = await removeCreated(ledger({ partialDatadir }), list, target)
    expect(left.sort()).toEqual(['app/b', 'app/c', 'link', 'notes'])
    expect(all(datadir)).toEqual(['app/b', 'app/c', 'notes'])
    expect(readFileSync(join(datadir, 'app/b'), 'utf8')).toBe('theirs')
  })

  test('in a datadir that was there: it stays, empty', async () => {
    const { target, datadir, list, partialDatadir } = await moved({ 'sub/z': '3' })
    await removeCreated(ledger({ partialDatadir: { ...partialDatadir, existed: true } }), list, target)
    expect(readdirSync(datadir)).toEqual([])
  })

  test('of a directory consumed in place: files go back, the whole one of two wins', async () => {
    const { target, datadir, list, partialDatadir } = await moved({
      ibdata1: 'm',
      'app/t1.ibd': 'm',
      'app/t2.ibd': 'ha',
    })
    fill(target, { 'app/t2.ibd': 'whole' })
    await removeCreated(ledger({ partialDatadir, returnFilesTo: target }), list, target)
    expect(existsSync(datadir)).toBe(false)
    expect(all(target)).toEqual(['app/t1.ibd', 'app/t2.ibd', 'ibdata1'])
    expect(readFileSync(join(target, 'app/t2.ibd'), 'utf8')).toBe('whole')
  })

  test('takes copies on another file system by name and size, and a file that goes outside the datadir', async () => {
    const folder = fill(scratch(), { 'target/a.ibd': 'whole', 'target/b.ibd': 'x', 'target/c.ibd': 'linked' })
    const other = mkdtempSync('/dev/shm/ra-moved-')
    onTestFinished(() => rmSync(other, { recursive: true, force: true }))
    const outside = join(folder, 'elsewhere/app/c.ibd')
    const list = await filesToMove(join(folder, 'target'), other, new Map([['c.ibd', outside]]))
    fill(other, { 'a.ibd': 'who', 'b.ibd': 'larger than ours' })
    mkdirSync(dirname(outside), { recursive: true })
    renameSync(join(folder, 'target/c.ibd'), outside)
    const left = await removeCreated(ledger({ partialDatadir: fillingOf(other, true) }), list, join(folder, 'target'))
    expect(left).toEqual(['b.ibd'])
    expect(existsSync(join(folder, 'elsewhere'))).toBe(false)
  })

  test('before a move-back continues, half copies go and what the tool moves unasked goes back', async () => {
    const folder = fill(scratch(), {
      'target/app/a': 'whole',
      'target/app/b': 'moved',
      'target/ibdata1': 'whole',
      'target/ib_logfile0': 'moved',
    })
    const [target, datadir] = [join(folder, 'target'), join(folder, 'data')]
    const list = await filesToMove(target, datadir)
    fill(datadir, { 'app/a': 'wh', 'app/b': 'moved', ibdata1: 'wh', ib_logfile0: 'moved', theirs: '' })
    for (const name of ['app/b', 'ib_logfile0']) rmSync(join(target, name))
    undoPartialMove(datadir, target, list)
    expect(all(folder)).toEqual(['data/app/b', 'data/theirs', 'target/app/a', 'target/ib_logfile0', 'target/ibdata1'])
    expect(readFileSync(join(target, 'ibdata1'), 'utf8')).toBe('whole')
  })

  describe('a table with DATA DIRECTORY', () => {
    const start = async () => {
      const folder = fill(scratch(), {
        'target/app/t.isl': 'link',
        'target/app/t.ibd': 'whole',
        'target/app/t.frm': 'd',
      })
      const [target, datadir, outside] = [join(folder, 'target'), join(folder, 'data'), join(folder, 'far/app/t.ibd')]
      const list = await filesToMove(target, datadir, new Map([['app/t.ibd', outside]]))
      for (const path of [outside, join(datadir, 'app/x')]) mkdirSync(dirname(path), { recursive: true })
      const move = (name: string, to: string) => renameSync(join(target, name), to)
      return { folder, target, datadir, outside, list, move }
    }

    test('killed between the .isl and its .ibd: the .isl goes home, so that the tool knows where the .ibd belongs', async () => {
      const { folder, target, datadir, list, move } = await start()
      move('app/t.isl', join(datadir, 'app/t.isl'))
      undoPartialMove(datadir, target, list)
      expect(all(folder)).toEqual(['target/app/t.frm', 'target/app/t.ibd', 'target/app/t.isl'])
    })

    test('killed between the .ibd and its .isl: both stand', async () => {
      const { folder, target, datadir, outside, list, move } = await start()
      move('app/t.ibd', outside)
      undoPartialMove(datadir, target, list)
      expect(all(folder)).toEqual(['far/app/t.ibd', 'target/app/t.frm', 'target/app/t.isl'])
    })

    test('killed in the copy to another file system: the half copy goes; a larger file there is somebody else’s', async () => {
      const { folder, target, datadir, outside, list } = await start()
      writeFileSync(outside, 'who')
      undoPartialMove(datadir, target, list)
      expect(all(folder)).not.toContain('far/app/t.ibd')
      writeFileSync(outside, 'larger than ours')
      undoPartialMove(datadir, target, list)
      expect(all(folder)).toContain('far/app/t.ibd')
    })

    test('a directory consumed in place gets it back under its own name', async () => {
      const { folder, target, datadir, outside, list, move } = await start()
      move('app/t.ibd', outside)
      move('app/t.isl', join(datadir, 'app/t.isl'))
      await removeCreated(ledger({ partialDatadir: fillingOf(datadir, false), returnFilesTo: target }), list, target)
      expect(all(folder)).toEqual(['target/app/t.frm', 'target/app/t.ibd', 'target/app/t.isl'])
    })

    test('a failed restore takes away its copy on another file system', async () => {
      const { folder, target, datadir } = await start()
      const other = mkdtempSync('/dev/shm/ra-moved-')
      onTestFinished(() => rmSync(other, { recursive: true, force: true }))
      const outside = join(other, 'app/t.ibd')
      const list = await filesToMove(target, datadir, new Map([['app/t.ibd', outside]]))
      fill(other, { 'app/t.ibd': 'whole', 'app/theirs.ibd': 'x' })
      await removeCreated(ledger({ created: [target], partialDatadir: fillingOf(datadir, false) }), list, target)
      expect(all(other)).toEqual(['app/theirs.ibd'])
      expect(all(folder)).toEqual([])
    })
  })
})

describe('remnants', () => {
  test('are files only: a database may have any name', () => {
    const run = scratch()
    const databases = { 'xtrabackup_info/t1.ibd': '1', 'mariadb_backup_history/t1.ibd': '2', 'auto.cnf/t1.ibd': '3' }
    const datadir = fill(scratch(), databases)
    keepMetadata(datadir, run, 1)
    expect(moveRemnants(datadir, run)).toEqual([])
    expect(all(datadir)).toEqual(Object.keys(databases).sort())
  })

  test('the metadata of each element are kept', () => {
    const run = scratch()
    const backup = fill(scratch(), {
      xtrabackup_info: 'i',
      xtrabackup_binlog_info: 'b',
      'backup-my.cnf': 'c',
      ibdata1: 'd',
    })
    keepMetadata(backup, run, 2)
    expect(all(run)).toEqual(['backup/2/backup-my.cnf', 'backup/2/xtrabackup_binlog_info', 'backup/2/xtrabackup_info'])
    expect(all(backup)).toContain('xtrabackup_info')
  })

  test('what a server must not find is moved out, the rest stays', () => {
    const run = scratch()
    const datadir = fill(scratch(), {
      'auto.cnf': 'u',
      'backup-my.cnf': 'c',
      xtrabackup_checkpoints: 'x',
      mariadb_backup_info: 'm',
      'binlog.index': './binlog.000007\n',
      'relay.index': './relay.000001\n',
      'relay.000001': 'r',
      ibdata1: 'd',
    })
    const moved = moveRemnants(datadir, run)
    expect(moved.sort()).toEqual([
      'auto.cnf',
      'backup-my.cnf',
      'binlog.index',
      'mariadb_backup_info',
      'xtrabackup_checkpoints',
    ])
    expect(all(datadir)).toEqual(['ibdata1', 'relay.000001', 'relay.index'])
    expect(all(join(run, 'remnants'))).toEqual(moved.sort())
  })
})

test('the owner gets the directory that a linked datadir leads to, and links in it as links', async () => {
  const folder = fill(scratch(), { 'real/app/t.ibd': '', outside: '' })
  const at = (name: string) => join(folder, name)
  symlinkSync(at('real'), at('data'))
  symlinkSync(at('outside'), at('real/link'))
  const [uid, gid] = process.getuid?.() === 0 ? [4711, 4712] : [process.getuid!(), process.getgid!()]
  await setOwner(at('data'), { name: 'x:y', uid, gid })
  for (const path of ['real', 'real/app', 'real/app/t.ibd', 'real/link'])
    expect(lstatSync(at(path)), path).toMatchObject({ uid, gid })
  expect(statSync(at('outside')).uid).toBe(process.getuid!())
})

describe('a survey', () => {
  test('weighs redo, data and deltas, and finds what must not be left', async () => {
    const folder = fill(scratch(), {
      ib_logfile0: '12345',
      ibdata1: '1234567',
      'app/t1.ibd.delta': '123',
      'app/t1.ibd.meta': '1',
      'app/t2.ibd.zst': '12',
      'app/t3.ibd.xbcrypt': '12',
    })
    symlinkSync('/etc/passwd', join(folder, 'link'))
    expect(await directoryStats(folder)).toEqual({
      redoBytes: 5,
      dataFileBytes: 15,
      files: 6,
      deltaFiles: { 'app/t1.ibd.delta': 3 },
      leftovers: expect.arrayContaining(['app/t1.ibd.delta', 'app/t2.ibd.zst', 'app/t3.ibd.xbcrypt']),
    })
  })
})
