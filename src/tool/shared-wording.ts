import type { ToolEvent } from './events.ts'
import { numberAt } from './tool-line.ts'

/*
 * Wording that both families share. A function gives null for a line that it does not know, and `known` for one that
 * says nothing new.
 */

type Wording = (text: string) => ToolEvent | null | 'known'

/** What every prepare says about itself, and the last line of everything that went well. */
export const preparedWording: Wording = text => {
  if (text.startsWith('completed OK')) return { type: 'completed_ok' }
  if (text.startsWith('Using ') && text.includes(' bytes for buffer pool')) {
    return { type: 'buffer_pool', bytes: numberAt(text, 6) }
  }
  return null
}

/**
 * Files, one by one. Across file systems a move is `Moving a to b`, `Copying a to b`, `...done`, `Removing a`: one
 * file, so the Copying of the file just begun says nothing new (`known`). From 8.0.28 on `Done: Moving file a to b`
 * stands for `...done`. A delta is named relative to its incremental's directory, which is not known here: it is what
 * the path has in common with the file it is applied to.
 */
export function fileWording(): Wording {
  let current = ''

  function started(file: string): ToolEvent | 'known' {
    if (file === current) return 'known'
    current = file
    return { type: 'file_started', file }
  }

  return text => {
    const verbEnd = text.indexOf(' ')
    switch (verbEnd < 0 ? text.trimEnd() : text.slice(0, verbEnd)) {
      case '...done':
      case '...done.':
        current = ''
        return { type: 'file_done' }
      case 'Done:':
        if (!text.startsWith('Done: Moving ') && !text.startsWith('Done: Copying ')) return null
        current = ''
        return { type: 'file_done' }
      case 'Moving':
      case 'Copying': {
        const to = text.lastIndexOf(' to ')
        return to < 0 ? null : started(text.slice(verbEnd + 1, to))
      }
      case 'decompressing':
      case 'decrypting':
        return started(text.slice(text.lastIndexOf(' ') + 1))
      case 'removing':
        current = ''
        return { type: 'file_done' }
      case 'Applying': {
        const to = text.indexOf('.delta to ')
        return to < 0 ? null : { type: 'delta_apply', file: deltaName(text.slice(9, to), text.slice(to + 10)) }
      }
      default:
        return null
    }
  }
}

function deltaName(source: string, destination: string): string {
  const file = destination.replace(/\.\.\.$/, '').replace(/^\.\//, '')
  if (source.endsWith(`/${file}`)) return `${file}.delta`
  return `${source.slice(source.lastIndexOf('//') + 1).replace(/^\/+/, '')}.delta`
}
