/**
 * Which stage of a pipeline is to blame. Damage flows both ways: bad bytes make every later stage complain, and a stage
 * that ends makes every earlier one die of SIGPIPE. So, in this order:
 *   1. a full disk, wherever it was seen;
 *   2. a stage killed from outside (its neighbours see an early end);
 *   3. the earliest stage that failed by itself, that is, not because its consumer was gone;
 *   4. a stage whose consumer ended although nothing there failed.
 *
 * openssl does not know whether its key is right. So bytes that no later stage recognises, after a decrypt stage, mean
 * a wrong key, and `bad decrypt` at the end of a stream whose beginning was good means that the stream was cut short.
 */
import { CONSUMER_GONE } from './filter-grammar.ts'
import { type Complaint, type Failure, type Judgement, judgeExit, mainFailure, type ToolExit } from './judge-exit.ts'

export interface EndedStage {
  program: string
  role: 'transfer' | 'decrypt' | 'decompress' | 'extract'
  exit: ToolExit
  /** The `failure` events it gave, oldest first. */
  failures: readonly Failure[]
  complaints?: readonly Complaint[]
  /** Its last lines, oldest first. */
  lastWords: readonly string[]
}

/** `stage` is the index of the stage to blame. */
export type PipelineJudgement = Judgement & { stage: number }

export function judgePipeline(stages: readonly EndedStage[]): PipelineJudgement | null {
  const blame = (stage: number, judgement: Judgement): PipelineJudgement => ({ ...judgement, stage })
  const verdicts = stages.map(judgeStage)
  for (const code of ['disk_full', 'tool_killed'] as const) {
    const stage = verdicts.findIndex(verdict => verdict?.code === code)
    if (stage >= 0) return blame(stage, verdicts[stage]!)
  }

  const first = verdicts.findIndex((verdict, stage) => verdict !== null && !isVictim(stages, stage))
  if (first < 0) {
    const gone = verdicts.findIndex(verdict => verdict !== null)
    return gone < 0 ? null : blame(gone, verdicts[gone]!)
  }
  const verdict = verdicts[first]!
  const { role, program } = stages[first]!
  if (
    role === 'decrypt' &&
    program.endsWith('openssl') &&
    verdict.code === 'wrong_key' &&
    !laterSees(stages, first, 'source_unknown')
  ) {
    return blame(first, { code: 'source_truncated', message: `${program}: the encrypted stream ends too early` })
  }
  if (verdict.code === 'source_unknown') {
    const decrypt = stages.findLastIndex((stage, index) => index < first && stage.role === 'decrypt')
    if (decrypt >= 0) {
      return blame(decrypt, { code: 'wrong_key', message: `${stages[decrypt]!.program} gave bytes that are no backup` })
    }
  }
  return blame(first, verdict)
}

function judgeStage(stage: EndedStage): Judgement | null {
  // gzip: 2 is a warning (trailing bytes ignored), all data came out.
  if (stage.program.endsWith('gzip') && stage.exit.code === 2 && stage.failures.length === 0) return null
  return judgeExit({ ...stage, phase: 'extract', saidCompletedOk: false })
}

/** Whether a stage ended because its consumer had; the last stage has none. */
function isVictim(stages: readonly EndedStage[], index: number): boolean {
  const stage = stages[index]!
  if (index === stages.length - 1) return false
  if (stage.exit.signal === 'SIGPIPE') return true
  return (
    mainFailure(stage.failures, 'extract_failed') === undefined &&
    stage.lastWords.some(line => CONSUMER_GONE.test(line))
  )
}

const laterSees = (stages: readonly EndedStage[], index: number, code: Failure['code']): boolean =>
  stages.slice(index + 1).some(stage => stage.failures.some(failure => failure.code === code))
