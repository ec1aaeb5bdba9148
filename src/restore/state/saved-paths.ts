import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { RestoreError } from '../../errors.ts'
import { isSameSource, localPathOf, nameOfSource, type SourceRef } from '../../source/source-ref.ts'
import { toolFamily } from '../../tool/families.ts'
import type { Plan } from '../plan/plan.ts'
import { currentOptions } from '../state/state.ts'
import type { RestoreState } from './state.ts'

/**
 * Checks every path in a state file against what this restore can have created. Process groups get signals and
 * directories are removed because the file says so; a file that was edited, damaged or copied from another restore must
 * not reach anything else. Every path follows from the options and the restore's id. That a process belongs to the
 * restore is never taken from the file: it must have the lock open.
 */
export function checkSavedPaths(state: RestoreState, stateDir: string): void {
  const problem =
    pathProblem(state, stateDir) ?? planProblem(state) ?? madeProblem(state) ?? toolProblem(state) ?? spanProblem(state)
  if (problem === null) return
  throw new RestoreError('state_unreadable', `${join(stateDir, 'state.json')}: ${problem}`, {
    hint: 'it was changed by hand, damaged, or is of another restore: restore with another --state-dir',
  })
}

/** The directories it extracts to. With `--in-place` an incremental's directory is named after the source. */
function bases({ options, restoreId }: RestoreState): string[] {
  const target = options.targetDir ?? `${options.datadir}.restore-${restoreId}`
  return options.inPlace ? [target, ...pathsOf(options.sources.slice(0, 1))] : [target]
}

const pathsOf = (sources: readonly SourceRef[]): string[] => sources.map(localPathOf).filter(path => path !== null)

function pathProblem(state: RestoreState, stateDir: string): string | null {
  const { options, backupIndex } = state
  if (realPath(options.stateDir) !== realPath(stateDir)) return `it is of the state dir ${options.stateDir}`
  if (backupIndex > options.olderBackups.length) return `there is no older backup ${backupIndex}`
  const chains = [options.sources, ...options.olderBackups]
  const paths = [options.datadir, ...bases(state), ...pathsOf(chains.flat())]
  const odd = paths.find(path => resolve(path) !== path || path === sep)
  if (odd !== undefined) return `${odd} is no path of a restore`
  const outer = [options.datadir, ...bases(state)].find(path => isWithin(realPath(stateDir), realPath(path)))
  return outer === undefined ? null : `${outer} holds the state dir`
}

function planProblem(state: RestoreState): string | null {
  const { plan, options, position } = state
  if (plan === null) return null
  const { sources, inPlace } = currentOptions(state)
  const targetDir = plan.inPlace ? localPathOf(sources[0]!) : bases(state)[0]
  if (plan.datadir !== options.datadir) return `the plan is for ${plan.datadir}`
  if (plan.inPlace && !inPlace) return 'the plan consumes its source'
  if (plan.targetDir !== targetDir) return `the plan extracts to ${plan.targetDir}`
  if (!isToolOf(plan.tool, options)) return `the plan runs ${plan.tool.path} and ${plan.tool.extractor}`
  if (plan.elements.length !== sources.length || position > sources.length) return 'the plan is of another chain'
  if (plan.steps.some(step => step.element > sources.length)) return 'the plan has steps of no element'
  const stray = plan.elements.find(
    ({ directory, source }, index) =>
      !isSameSource(source, sources[index]!) || directory !== (index === 0 ? targetDir : `${targetDir}-inc${index}`),
  )
  return stray ? `the plan brings ${nameOfSource(stray.source)} to ${stray.directory}` : null
}

/** As find-tool.ts finds them. */
function isToolOf(
  { family, path, extractor }: Plan['tool'],
  { toolPath, toolPaths }: RestoreState['options'],
): boolean {
  const { programs, extractors } = toolFamily(family)
  const isNamed = (file: string, names: readonly string[]) => file === resolve(file) && names.includes(basename(file))
  const given = [...(toolPath === null ? [] : [toolPath]), ...toolPaths]
  const isIn = (directory: string) => isNamed(path, programs) && isWithin(path, directory.replace(/\/\*$/, ''))
  const isGiven = given.length === 0 ? isNamed(path, programs) : given.some(one => path === one || isIn(one))
  return isNamed(extractor, extractors) && isGiven
}

function madeProblem(state: RestoreState): string | null {
  const { options, cleanup } = state
  const { created, partialDatadir, returnFilesTo, parents } = cleanup
  // Of the last two, one holds relay logs, and one a server's socket, below /run or the temporary directory.
  const own = (directory: string) =>
    directory === bases(state)[0] ||
    bases(state).some(base => directory.replace(/-inc[1-9]\d*$/, '') === base) ||
    directory === `${options.datadir}.restore-${state.restoreId}-relay` ||
    (directory === resolve(directory) && basename(directory) === `restore-agent-${state.restoreId}`)
  const stray = created.find(directory => !own(directory) || pathsOf(options.sources).includes(directory))
  if (stray !== undefined) return `${stray} is nothing this restore makes`
  if (partialDatadir && partialDatadir.datadir !== options.datadir)
    return `${partialDatadir.datadir} is not the datadir`
  const notAbove = parents.find(parent => ![options.datadir, ...bases(state)].some(path => isWithin(path, parent)))
  if (notAbove !== undefined) return `${notAbove} is not above what this restore makes`
  if (returnFilesTo !== null && !(options.inPlace && returnFilesTo === localPathOf(options.sources[0]!)))
    return `${returnFilesTo} gave away nothing`
  return null
}

function toolProblem({ tools, options, restoreId }: RestoreState): string | null {
  const runDir = join(options.stateDir, restoreId)
  const stray = tools.find(
    ({ pid, pgid, stderrPath, statusPath }) =>
      pgid !== pid || [stderrPath, statusPath].some(path => path !== join(runDir, basename(path))),
  )
  return stray ? `${stray.name} (group ${stray.pgid}) is no tool of this restore` : null
}

/** A span's parent was opened before it, so that walking up the tree ends. */
function spanProblem({ spans }: RestoreState): string | null {
  const ids = spans.map(({ id }) => id)
  if (new Set(ids).size < ids.length) return 'two open spans have one id'
  const stray = spans.find(({ parentId }, index) => parentId !== null && ids.indexOf(parentId) >= index)
  return stray ? `the open span ${stray.id} hangs under a later one` : null
}

const isWithin = (inner: string, outer: string): boolean => inner === outer || inner.startsWith(outer + sep)

/** Resolves links in the part of the path that exists. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return dirname(path) === path ? path : join(realPath(dirname(path)), basename(path))
  }
}
