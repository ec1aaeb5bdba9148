import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** A private folder, removed when the test has ended. */
export function scratchDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'restore-agent-process-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/process/${name}`, import.meta.url))

export const countDescriptors = (): number => readdirSync('/proc/self/fd').length

/** Waits until `look` finds something other than null or false; fails after `limitMs`. */
export async function until<T>(what: string, look: () => T | null | false, limitMs = 10_000): Promise<T> {
  const endAtMs = performance.now() + limitMs
  for (;;) {
    const found = look()
    if (found !== null && found !== false) return found
    if (performance.now() > endAtMs) throw new Error(`waited ${limitMs} ms for ${what}`)
    await sleep(10)
  }
}
