import { RestoreError } from '../errors.ts'
import type { BackupDescription } from './backup.ts'

/** The part of a description that the check reads. */
export type ChainElement = Pick<
  BackupDescription,
  'name' | 'kind' | 'family' | 'serverUuid' | 'backupUuid' | 'fromLsn' | 'toLsn' | 'prepared'
>

/**
 * Checks that backups can be prepared onto each other in this order. Throws `chain_broken` naming the first element
 * that does not fit: positions count from 1.
 *
 * The first is a full, the rest are incrementals; each begins (`from_lsn`) where the one before it ended (`to_lsn`);
 * none comes twice; all are of one tool family and one server. What is unknown (null: a compressed stream tells its
 * LSNs only at its end) is passed over, because the tool checks it again when it applies the incremental.
 */
export function checkChain(chain: readonly ChainElement[]): void {
  if (chain.length === 0) throw new RestoreError('chain_broken', 'no backup was given')
  for (const [index, element] of chain.entries()) {
    checkKind(element, index, chain.length)
    const before = chain.slice(0, index)
    checkNotTwice(element, index, before)
    checkSameOrigin(element, index, before)
    if (index > 0) checkLink(element, index, chain)
  }
}

function checkKind(element: ChainElement, index: number, length: number): void {
  if (index === 0 && element.kind === 'incremental') {
    throw broken(element, index, 'is an incremental, but a chain begins with a full backup')
  }
  if (index > 0 && element.kind === 'full') {
    throw broken(element, index, 'is a full backup, but only incrementals follow the first')
  }
  if (element.prepared && length > 1 && index > 0) {
    throw broken(element, index, 'is prepared already, so it cannot be applied to another')
  }
}

function checkNotTwice(element: ChainElement, index: number, before: readonly ChainElement[]): void {
  const twin = before.findIndex(
    other =>
      (element.backupUuid !== null && element.backupUuid === other.backupUuid) ||
      // Two incrementals of an idle server (from = to) look equal without being one.
      (sameKnown(element.fromLsn, other.fromLsn) &&
        sameKnown(element.toLsn, other.toLsn) &&
        element.fromLsn !== element.toLsn),
  )
  if (twin >= 0) throw broken(element, index, `is the same backup as ${label(before[twin]!, twin)}`)
}

function checkSameOrigin(element: ChainElement, index: number, before: readonly ChainElement[]): void {
  for (const [position, other] of before.entries()) {
    if (element.family && other.family && element.family !== other.family) {
      throw broken(element, index, `was made by ${element.family}, but ${label(other, position)} by ${other.family}`)
    }
    if (element.serverUuid && other.serverUuid && element.serverUuid !== other.serverUuid) {
      throw broken(
        element,
        index,
        `is of server ${element.serverUuid}, but ${label(other, position)} of server ${other.serverUuid}`,
      )
    }
  }
}

function checkLink(element: ChainElement, index: number, chain: readonly ChainElement[]): void {
  const before = chain[index - 1]!
  if (element.fromLsn === null || before.toLsn === null || element.fromLsn === before.toLsn) return
  const gap = `begins at LSN ${element.fromLsn}, but ${label(before, index - 1)} ends at LSN ${before.toLsn}`
  const later = chain.findIndex((other, position) => position > index && other.toLsn === element.fromLsn)
  if (later >= 0) throw broken(element, index, `${gap}: it follows ${label(chain[later]!, later)}, the order is wrong`)
  const reason = element.fromLsn > before.toLsn ? 'a backup between them is missing' : 'it was taken on another base'
  throw broken(element, index, `${gap}: ${reason}`)
}

const sameKnown = (a: number | null, b: number | null): boolean => a !== null && a === b
const label = (element: ChainElement, index: number): string => `element ${index + 1} (${element.name})`
const broken = (element: ChainElement, index: number, what: string): RestoreError =>
  new RestoreError('chain_broken', `${label(element, index)} ${what}`)
