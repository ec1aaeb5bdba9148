import type { RestoreState } from '../state/state.ts'

/**
 * Whether the bytes of an element are needed from its source, for the first time or again: it is not brought, or a prepare that
 * was cut short has changed what it was brought to (repair.ts; of a MariaDB chain it may turn out to be less).
 */
export function needsBytes({ begun, finished, tools }: RestoreState, position: number): boolean {
  if (!finished.includes(`${position}-bring`)) return true
  const cut = begun.filter(label => label.endsWith('-prepare') && !finished.includes(label))
  return tools.length === 0 && cut.some(label => Number.parseInt(label, 10) >= position)
}
