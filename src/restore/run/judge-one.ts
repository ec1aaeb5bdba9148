import { judgeExit, type ToolPhase } from '../../tool/judge-exit.ts'
import type { ToolRun } from './tool-run.ts'

/** Judges a run of a single tool. */
export const judgeOne =
  (phase: ToolPhase): ToolRun['judge'] =>
  ([result]) => {
    const judgement = judgeExit({ ...result!, phase })
    return judgement && { ...judgement, stage: 0 }
  }
