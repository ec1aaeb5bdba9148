import { closeSync, openSync, readFileSync } from 'node:fs'
import { endGroups } from '../../src/process/kill-groups.ts'
import { startPipeline } from '../../src/process/pipeline.ts'
import { redoWritten, writeLoad } from './data.ts'
import type { SampleServer } from './server.ts'

/**
 * Takes a real backup while the server is written to: mariadb-backup | zstd. The compressor is held (SIGSTOP) until
 * enough redo was written and the writers have stopped, so the backup cannot end before them, and what it holds is what
 * the server holds afterwards: one truth to compare with.
 */
export async function takeBackup(
  server: SampleServer,
  { datadir, file, runDir, redoMegabytes, options = [], signal }: BackupRequest,
): Promise<void> {
  const output = openSync(file, 'w')
  const { tools } = await startPipeline({
    label: 'sample',
    runDir,
    stdin: 'ignore',
    stdoutFd: output,
    stages: [
      {
        name: 'mariadb-backup',
        file: 'mariadb-backup',
        args: [
          '--no-defaults',
          '--backup',
          '--stream=xbstream',
          '--user=root',
          '--host=127.0.0.1',
          `--port=${server.port}`,
          `--datadir=${datadir}`,
          `--target-dir=${runDir}`,
          ...options,
        ],
      },
      { name: 'zstd', file: 'zstd', args: ['-q', '-c'] },
    ],
  })
  closeSync(output)
  const [backup, zstd] = tools
  const hold = (name: 'SIGSTOP' | 'SIGCONT') => process.kill(-zstd!.pgid, name)
  const load = writeLoad(server)
  let writersStopped = false
  try {
    hold('SIGSTOP')
    await Promise.race([redoWritten(server, redoMegabytes), backup!.exited, load.ended, aborted(signal)])
    await load.stop()
    writersStopped = true
  } finally {
    hold('SIGCONT')
    if (!writersStopped || signal?.aborted) await endGroups(tools)
  }
  const exits = await Promise.all(tools.map(tool => tool.exited))
  if (exits.some(({ code }) => code !== 0))
    throw new Error(
      `the sample backup failed:\n${readFileSync(backup!.stderrPath, 'utf8').split('\n').slice(-10).join('\n')}`,
    )
}

const aborted = (signal: AbortSignal | undefined) =>
  new Promise<void>(resolve => {
    if (signal?.aborted) resolve()
    signal?.addEventListener('abort', () => resolve(), { once: true })
  })

export interface BackupRequest {
  datadir: string
  /** Where the compressed stream goes. */
  file: string
  /** For the logs of the tools. */
  runDir: string
  redoMegabytes: number
  /** More of mariadb-backup's. */
  options?: readonly string[]
  /** Aborted: the tools are ended, and the promise rejects. */
  signal?: AbortSignal
}
