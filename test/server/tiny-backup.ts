import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { installServer, startServer } from '../integration/private-server.ts'

/** A real full backup of a small MariaDB server and two incrementals after it, as streams: `<folder>/full.xb`, `inc1.xb`, `inc2.xb`. */
export async function makeTinyBackup(folder: string): Promise<string[]> {
  const source = join(folder, 'source')
  await installServer(source)
  const server = await startServer(source, ['--innodb-log-file-size=16M'])
  const socket = server.client[4]!
  const files: string[] = []
  try {
    await server.sql('create database app; create table app.t (id int primary key) engine = innodb')
    for (const [index, name] of ['full', 'inc1', 'inc2'].entries()) {
      await server.sql(`use app; insert into t select seq + ${index * 1000} from seq_1_to_1000`)
      const lsn = join(folder, `lsn-${name}`)
      mkdirSync(lsn)
      const file = join(folder, `${name}.xb`)
      const base = index === 0 ? [] : [`--incremental-basedir=${join(folder, `lsn-${['full', 'inc1'][index - 1]}`)}`]
      const options = ['--backup', '--stream=xbstream', '--user=root', `--socket=${socket}`, `--datadir=${source}`]
      await execa(
        'mariadb-backup',
        ['--no-defaults', ...options, `--target-dir=${lsn}.tmp`, `--extra-lsndir=${lsn}`, ...base],
        { stdout: { file }, stderr: 'ignore' },
      )
      files.push(file)
    }
  } finally {
    await server.stop()
    rmSync(source, { recursive: true })
  }
  return files
}
