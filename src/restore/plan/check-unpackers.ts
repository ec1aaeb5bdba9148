import type { InnerCompression } from '../../backup/file-name.ts'
import { RestoreError } from '../../errors.ts'
import { findProgram } from '../../process/find-program.ts'
import type { Plan } from './plan.ts'

/** What a tool's `--decompress` starts through a shell, one by one for each file. */
const UNPACKERS: Readonly<Record<InnerCompression, string>> = { qp: 'qpress', lz4: 'lz4', zst: 'zstd' }

/** The tool itself would miss the program only when the whole backup is extracted. Throws `tool_missing`. */
export function checkUnpackers({ steps, elements }: Plan): void {
  for (const step of steps) {
    const packed = step.kind === 'decompress' ? elements[step.element - 1]!.description.innerCompression : null
    if (packed === null) continue
    const program = UNPACKERS[packed]
    try {
      findProgram(program)
    } catch (cause) {
      throw new RestoreError(
        'tool_missing',
        `the files in ${elements[step.element - 1]!.name} end in .${packed}: ${program} is not on PATH`,
        {
          hint:
            program === 'qpress'
              ? "install qpress, from Percona's repositories where the system has none"
              : `install ${program}`,
          cause,
        },
      )
    }
  }
}
