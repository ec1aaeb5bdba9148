import { chmodSync, closeSync, mkdirSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { RestoreError } from '../../errors.ts'
import { removeLostAndFound, setCopiedModes } from '../../process/copied-modes.ts'
import { openFifo } from '../../process/fifo.ts'
import { filePosition } from '../../process/proc-stat.ts'
import { selfCommand } from '../../process/self-command.ts'
import { systemError } from '../../process/system-error.ts'
import type { FileAccess, Source, StreamSource } from '../../source/source.ts'
import { isRemote, nameOfSource, type SourceRef } from '../../source/source-ref.ts'
import { AWS_VARIABLES } from '../../source/transfer/aws-credentials.ts'
import type { TransferJob } from '../../source/transfer/job.ts'
import { readProgress } from '../../source/transfer/progress-file.ts'
import { copyGrammar } from '../../tool/copy-grammar.ts'
import type { Grammar } from '../../tool/events.ts'
import { extractGrammar } from '../../tool/extract-grammar.ts'
import { filterGrammar } from '../../tool/filter-grammar.ts'
import type { Failure } from '../../tool/judge-exit.ts'
import { type EndedStage, judgePipeline, type PipelineJudgement } from '../../tool/judge-pipeline.ts'
import { transferGrammar } from '../../tool/transfer-grammar.ts'
import { dispatch, type RestoreContext } from '../context.ts'
import type { PlanStep } from '../plan/plan.ts'
import { withDiskReserve } from '../run/disk-reserve.ts'
import { runTools } from '../run/run-tools.ts'
import { judgeOne, meterTree, type RunResult, type ToolRun } from '../run/watch-tool.ts'
import { type RunId, runName } from '../state/runs.ts'

/** Fetches an element into its directory: through the stages of its stream, or by a copy. */
type StepOf<K extends PlanStep['kind']> = Extract<PlanStep, { kind: K }>

/**
 * Creates a directory that does not exist yet; the caller has recorded it in the cleanup ledger. Missing parents get
 * mode 0755 whatever the umask, because the owner of the restored files must reach them.
 */
export function makeDirectory(path: string): void {
  try {
    makeParents(dirname(path))
    mkdirSync(path, { mode: 0o750 })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST')
      throw new RestoreError('target_not_new', `cannot make ${path}: it exists already`, { cause })
    const { code, message } = systemError(cause, `cannot make ${path}`)
    throw new RestoreError(code === 'internal' ? 'not_permitted' : code, message, { cause })
  }
}

function makeParents(folder: string): void {
  const first = mkdirSync(folder, { recursive: true })
  if (first === undefined) return
  for (let made = folder; ; made = dirname(made)) {
    chmodSync(made, 0o755)
    if (made === first) return
  }
}

/** Without a source the tools are adopted and have their input. */
export async function extract(
  context: RestoreContext,
  step: StepOf<'extract'>,
  source: StreamSource | null,
): Promise<void> {
  const last = step.stages.length - 1
  const id: RunId = { element: step.element, kind: 'extract' }
  const stages = step.stages.map((command, index) => ({
    command,
    grammar: index === last ? extractGrammar() : filterGrammar(),
  }))
  const { source: ref } = context.store.state.plan!.elements[step.element - 1]!
  if (!isRemote(ref)) {
    const input = source === null ? fileInput(ADOPTED) : source.file ? fileInput(source.file) : pipeInput(source)
    const judge = (results: readonly RunResult[]) => judgeExtract(results, step)
    await withDiskReserve(context, step.element, inner => runTools(inner, { id, stages, judge, ...input }))
    return
  }
  const { close, ...input } = transferInput(context, id, source)
  try {
    const judge = (results: readonly RunResult[]) => judgeExtract(results, step, 1)
    const run = { id, stages: [transferStage(ref), ...stages], judge, ...input }
    await withDiskReserve(context, step.element, inner => runTools(inner, run))
  } finally {
    close()
  }
}

/**
 * Two facts go beyond the tools' messages. The first bytes of every layer were checked, so bytes that a filter does not
 * recognise come later and are damage. The directory was new, so a file that exists came twice in the stream. The first
 * `transfers` stages fetch the bytes.
 */
function judgeExtract(results: readonly RunResult[], step: StepOf<'extract'>, transfers = 0): PipelineJudgement | null {
  const judgement = judgePipeline(
    results.map((result, index) => {
      const role = roleOf(index - transfers, step)
      return {
        ...result,
        role,
        failures: role === 'extract' || role === 'transfer' ? result.failures : result.failures.map(asDamage),
      }
    }),
  )
  if (judgement?.code !== 'target_not_new') return judgement
  const message = `the stream holds a file twice, as two backups in one do: ${judgement.message}`
  return { ...judgement, code: 'source_corrupt', message }
}

const asDamage = (failure: Failure): Failure =>
  failure.code === 'source_unknown' ? { ...failure, code: 'source_corrupt' } : failure

const ADOPTED: Pick<FileAccess, 'startOffset' | 'fd'> = {
  startOffset: 0,
  fd() {
    throw new RestoreError('internal', 'the input of an adopted tool was asked for')
  },
}

const DECRYPTORS = new Set(['gpg', 'openssl'])

function roleOf(index: number, { stages }: StepOf<'extract'>): EndedStage['role'] {
  if (index < 0) return 'transfer'
  if (index === stages.length - 1) return 'extract'
  return DECRYPTORS.has(basename(stages[index]!.file)) ? 'decrypt' : 'decompress'
}

/**
 * The tool reads the file itself. The position of its descriptor tells how far it is; a later agent can read it too,
 * since the wrapper holds the descriptor.
 */
function fileInput(file: Pick<FileAccess, 'startOffset' | 'fd'>): Pick<ToolRun, 'stdin' | 'sourcePosition'> {
  let ours: number | null = null
  return {
    stdin() {
      ours = file.fd()
      return ours
    },
    sourcePosition({ pid }) {
      // This agent's descriptor shares the position, also after the tool has ended.
      const position = ours === null ? filePosition(0, pid) : filePosition(ours)
      return position === null ? null : Math.max(0, position - file.startOffset)
    },
  }
}

/** The first bytes of a pipe were read to recognise the format, so the agent writes all bytes to the tool. */
function pipeInput(source: StreamSource): Pick<ToolRun, 'stdin' | 'sourcePosition' | 'feed'> {
  let readBytes = 0
  async function* counted() {
    for await (const piece of source.bytes()) {
      readBytes += piece.length
      yield piece
    }
  }
  return { stdin: 'pipe', sourcePosition: () => readBytes, feed: stdin => pipeline(counted, stdin) }
}

export async function copy(context: RestoreContext, step: StepOf<'copy'>, source: Source): Promise<void> {
  const meter = meterTree(step.into)
  const bytes = await sizeOf(source)
  const ignored = source.kind === 'directory' ? await source.ignored() : []
  dispatch(context, { type: 'source_size', position: step.element, bytes })
  try {
    const grammar = copyGrammar(new Set(ignored.map(path => `${source.name}/./${path}`)))
    const run: ToolRun = {
      id: { element: step.element, kind: 'copy' },
      stages: [{ command: step.command, grammar }],
      judge: results => judgeCopy(results, ignored.length > 0),
      stdin: 'ignore',
      sourcePosition: meter.bytes,
    }
    await withDiskReserve(context, step.element, inner => runTools(inner, run))
  } finally {
    meter.stop()
  }
  try {
    removeLostAndFound(step.into)
    setCopiedModes(source.name, step.into)
  } catch (thrown) {
    throw systemError(thrown, `cannot set the modes of the copy ${step.into}`)
  }
}

/** cp also exits 1 if all it could not copy is no part of the backup. */
function judgeCopy(results: readonly RunResult[], mayIgnore: boolean): PipelineJudgement | null {
  const [{ exit, failures, complaints }] = results as [RunResult]
  if (mayIgnore && exit.code === 1 && failures.length + complaints.length === 0) return null
  return judgeOne('extract')(results)
}

const sizeOf = async (source: Source): Promise<number | null> =>
  source.kind === 'directory' ? source.storedBytes() : source.storedBytes

export async function decompress(context: RestoreContext, step: StepOf<'decompress'>, grammar: Grammar): Promise<void> {
  const run: ToolRun = {
    id: { element: step.element, kind: 'decompress' },
    stages: [{ command: step.command, grammar }],
    judge: judgeOne('decompress'),
    stdin: 'ignore',
  }
  await withDiskReserve(context, step.element, inner => runTools(inner, run))
}

/** Variables for proxies, trusted certificates and, for S3, credentials. */
const variablesFor = (ref: SourceRef): string[] => [
  ...NETWORK,
  ...((ref.kind === 'backup' ? ref.place : ref).kind === 's3' ? AWS_VARIABLES : []),
]

const NETWORK = [
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'].flatMap(name => [name, name.toLowerCase()]),
  ...['NODE_EXTRA_CA_CERTS', 'NODE_USE_SYSTEM_CA', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
]

/** The stage that downloads an object: this program again, as another process. */
export const transferStage = (ref: SourceRef): ToolRun['stages'][number] => ({
  command: {
    name: 'transfer',
    ...selfCommand('transfer', nameOfSource(ref)),
    inherits: variablesFor(ref),
  },
  grammar: transferGrammar(),
})

/**
 * Input and progress of the download stage. The job goes through an unlinked FIFO that no other process can open: it
 * may hold a signed URL. Without a source the process is adopted, and only its progress is read.
 */
export function transferInput(
  { runDir, options }: RestoreContext,
  id: RunId,
  source: StreamSource | null,
): Pick<ToolRun, 'stdin' | 'sourcePosition' | 'transfer'> & { close(): void } {
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
    transfer: () => readProgress(progressPath),
    close() {
      if (jobFd !== null) closeSync(jobFd)
    },
  }
}

/** A descriptor from which the job can be read. A job fits into the FIFO's buffer, so the write does not block. */
function jobInput(runDir: string, job: TransferJob): number {
  const { readFd, writeFd } = openFifo(runDir)
  try {
    writeSync(writeFd, JSON.stringify(job))
    return readFd
  } finally {
    closeSync(writeFd)
  }
}
