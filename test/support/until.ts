import { setTimeout as sleep } from 'node:timers/promises'

type Found<T> = Exclude<T, null | undefined | false>

/** Waits until `look` finds something other than null, undefined or false, and gives it; throws after `limitMs`. */
export async function until<T>(look: () => T | Promise<T>, what = String(look), limitMs = 20_000): Promise<Found<T>> {
  for (const endAtMs = performance.now() + limitMs; ; await sleep(10)) {
    const found = await look()
    if (found !== null && found !== undefined && found !== false) return found as Found<T>
    if (performance.now() > endAtMs) throw new Error(`waited ${limitMs} ms for ${what}`)
  }
}
