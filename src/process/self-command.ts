import { extname } from 'node:path'
import { getAsset, isSea } from 'node:sea'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

/**
 * How this program starts itself in another process. The single file is the program; otherwise Node runs main.ts, or
 * main.js once it is built.
 */
export function selfCommand(...args: readonly string[]): { file: string; args: string[] } {
  if (isSea()) return { file: process.execPath, args: [...args] }
  return { file: process.execPath, args: [fileURLToPath(moduleOfOurs('main')), ...args] }
}

/**
 * Starts a module of this program in a thread: `name` is its path in src/ without extension. The single file has it as
 * an asset, which scripts/package/single-file.ts finds by the literal in the call.
 */
export function startThread(name: string, workerData: unknown): Worker {
  return isSea()
    ? new Worker(getAsset(`${name}.js`, 'utf8'), { eval: true, workerData })
    : new Worker(moduleOfOurs(name), { workerData })
}

const moduleOfOurs = (name: string): URL => new URL(`../${name}${extname(import.meta.url)}`, import.meta.url)
