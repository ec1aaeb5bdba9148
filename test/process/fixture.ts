import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/process/${name}`, import.meta.url))

export const countDescriptors = (): number => readdirSync('/proc/self/fd').length
