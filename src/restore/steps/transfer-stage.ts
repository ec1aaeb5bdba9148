import { closeSync, rmSync, writeSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RestoreError } from '../../errors.ts'
import { openFifo } from '../../process/fifo.ts'
import type { StreamSource } from '../../source/source.ts'
import { nameOfSource, type SourceRef } from '../../source/source-ref.ts'
import { AWS_VARIABLES } from '../../source/transfer/aws-credentials.ts'
import type { TransferJob } from '../../source/transfer/job.ts'
import { readProgress } from '../../source/transfer/progress-file.ts'
import { transferGrammar } from '../../tool/transfer-grammar.ts'
import type { RestoreContext } from '../context.ts'
import type { ToolRun } from '../run/tool-run.ts'
import { type RunId, runName } from '../state/runs.ts'

/** This program's own entry: main.ts, or main.js once it is built. */
const MAIN = fileURLToPath(new URL(`../../main${extname(import.meta.url)}`, import.meta.url))

/** The way to the server: proxies, and whose certificates are trusted; and what tells who asks. */
const variablesFor = ({ kind }: SourceRef): string[] => [...NETWORK, ...(kind === 's3' ? AWS_VARIABLES : [])]

const NETWORK = [
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'].flatMap(name => [name, name.toLowerCase()]),
  ...['NODE_EXTRA_CA_CERTS', 'NODE_USE_SYSTEM_CA', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
]

/** The stage in front of an extract that fetches a URL's bytes: this program again, in a process of its own. */
export const transferStage = (ref: SourceRef): ToolRun['stages'][number] => ({
  command: {
    name: 'transfer',
    file: process.execPath,
    args: [MAIN, 'transfer', nameOfSource(ref)],
    inherits: variablesFor(ref),
  },
  grammar: transferGrammar(),
})

/**
 * What the stage reads and how far it is. The job goes through a FIFO that nothing else can open: it may hold a signed
 * URL. Without a source the process is adopted, and only its progress is read.
 */
export function transferInput(
  { runDir, options }: RestoreContext,
  id: RunId,
  source: StreamSource | null,
): Pick<ToolRun, 'stdin' | 'sourcePosition'> & { close(): void } {
  let jobFd: number | null = null
  const progressPath = join(runDir, `${runName(id)}-transfer.progress`)
  return {
    stdin() {
      if (!source?.remote) throw new RestoreError('internal', 'the input of an adopted transfer was asked for')
      rmSync(progressPath, { force: true })
      const { name, remote } = source
      jobFd = jobInput(runDir, {
        name,
        ...remote,
        progressPath,
        maxBandwidth: options.maxBandwidth,
        idleMs: null,
        patienceMs: null,
      })
      return jobFd
    },
    sourcePosition: () => readProgress(progressPath)?.writtenBytes ?? null,
    close() {
      if (jobFd !== null) closeSync(jobFd)
    },
  }
}

/**
 * A descriptor that gives the job and then ends. A job is much smaller than what a FIFO holds, so this does not wait.
 */
function jobInput(runDir: string, job: TransferJob): number {
  const { readFd, writeFd } = openFifo(runDir)
  try {
    writeSync(writeFd, JSON.stringify(job))
    return readFd
  } finally {
    closeSync(writeFd)
  }
}
