import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { loadSample } from '../../../scripts/sample/data.ts'
import { installServer, startServer } from '../../../scripts/sample/server.ts'

const DATA_MB = 120

/**
 * A real backup, compressed with zstd. The server is told to flush late and the backup is taken at once, so that its redo log
 * holds all that was loaded and prepare has work to do.
 */
export async function makeBackup(directory: string): Promise<string> {
  const source = join(directory, 'source')
  const file = join(directory, 'full.xb.zst')
  await installServer(source)
  const server = await startServer(source, join(directory, 'server.log'), [
    '--innodb-log-file-size=1G',
    '--innodb-buffer-pool-size=512M',
    '--innodb-max-dirty-pages-pct=99',
    '--innodb-doublewrite=0',
    '--log-bin=binlog',
    '--server-id=1',
  ])
  try {
    await loadSample(server, DATA_MB)
    mkdirSync(join(directory, 'tool'))
    const options = '--no-defaults --backup --stream=xbstream --user=root --host=127.0.0.1'
    const where = `--port=${server.port} --datadir=${source} --target-dir=${join(directory, 'tool')}`
    const log = join(directory, 'backup.log')
    await execa('bash', ['-o', 'pipefail', '-c', `mariadb-backup ${options} ${where} 2>${log} | zstd -q -o ${file}`])
  } finally {
    await server.stop()
  }
  rmSync(source, { recursive: true })
  return file
}
