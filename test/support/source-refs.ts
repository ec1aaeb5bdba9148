import { parseSource, type SourceRef } from '../../src/source/source-ref.ts'

/** Sources as a person writes them: `/backups/full.xb`, `-`. */
export const refs = (...written: string[]): SourceRef[] => written.map(text => parseSource(text)!)
