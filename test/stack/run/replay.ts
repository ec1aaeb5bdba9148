import { readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { xbstream } from '../../fixtures/xbstream-writer.ts'
import { ROOT } from './services.ts'

/**
 * A restore with the stand-ins for Percona's programs, which replay a transcript's stderr in (scaled) time: many lines,
 * a rollback, and every line's text known. Gives the source and what the command needs besides it.
 */
export function replayedBackup(directory: string, transcriptName: string, speed: number) {
  const transcript = join(ROOT, 'test/fixtures/transcripts/xtrabackup', transcriptName)
  const read = (name: string) => readFileSync(join(transcript, name))
  const source = join(directory, 'replayed.xb')
  const files = {
    ibdata1: Buffer.alloc(1024 * 1024, 'page'),
    xtrabackup_logfile: Buffer.alloc(64 * 1024, 'redo'),
    'backup-my.cnf': Buffer.from('[mysqld]\ninnodb_page_size=16384\n'),
    xtrabackup_checkpoints: read('xtrabackup_checkpoints'),
    xtrabackup_info: read('xtrabackup_info'),
  }
  writeFileSync(source, xbstream(files))
  const bin = join(ROOT, 'test/fixtures/bin')
  return {
    source,
    flags: ['--tool', 'xtrabackup', '--tool-path', join(bin, 'xtrabackup'), '--use-memory', '512M'],
    env: {
      PATH: [bin, dirname(process.execPath), process.env.PATH].join(delimiter),
      REPLAY_TRANSCRIPT: transcript,
      REPLAY_SPEED: String(speed),
    },
  }
}
