import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import type { TestProject } from 'vitest/node'
import { type Chain, makeChain } from '../integration/make-chain.ts'
import { hashOf, type TruthName, tablesOf } from './datadir.ts'

declare module 'vitest' {
  interface ProvidedContext {
    chain: Chain
    truths: Readonly<Record<TruthName, { hash: string; tables: readonly string[] }>>
  }
}

/** A small real chain, made once, and what its full and all of it restore to when nothing goes wrong. */
export default async function setup(project: TestProject): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'ra-chain-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    await provide(project, folder)
  } catch (error) {
    remove()
    throw error
  }
  return remove
}

async function provide(project: TestProject, folder: string): Promise<void> {
  const chain = await makeChain(folder, {
    megabytes: 24,
    fullRedoMegabytes: 80,
    incrementals: 3,
    incrementalRedoMegabytes: 4,
  })
  const truth = async (name: TruthName, backups: Chain['elements']) => {
    const dir = join(folder, name)
    mkdirSync(dir)
    const datadir = join(dir, 'data')
    const args = ['--datadir', datadir, '--state-dir', join(dir, 'state'), '--use-memory', '32M']
    await execa(process.execPath, ['src/main.ts', 'restore', ...backups.map(({ bare }) => bare), ...args])
    const hash = hashOf(datadir)
    const tables = await tablesOf(datadir)
    if (tables.join() !== backups.at(-1)!.truth.join()) throw new Error(`the ${name} does not restore to what it was`)
    rmSync(dir, { recursive: true })
    return { hash, tables }
  }
  project.provide('chain', chain)
  project.provide('truths', {
    full: await truth('full', chain.elements.slice(0, 1)),
    chain: await truth('chain', chain.elements),
  })
}
