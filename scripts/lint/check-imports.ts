/**
 * Holds the imports of a folder's `src` against import-rules.ts. dependency-cruiser reads TypeScript with `typescript`
 * up to 6; with 7 it reads nothing and reports success. It alone is given 6, and the files that it has read are
 * counted.
 */
import { globSync } from 'node:fs'
import { registerHooks } from 'node:module'
import type { ICruiseResult } from 'dependency-cruiser'
import { importRules } from './import-rules.ts'

registerHooks({
  resolve: (name, context, next) => next(name.replace(/^typescript(?=$|\/)/, 'typescript-6'), context),
})

interface Complaint {
  rule: string
  text: string
}

export async function checkImports(baseDir: string): Promise<Complaint[]> {
  const { cruise } = await import('dependency-cruiser')
  const { output } = await cruise(['src'], {
    baseDir,
    ruleSet: { forbidden: importRules() },
    validate: true,
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
  })
  const { modules, summary } = output as ICruiseResult
  const read = modules.filter(module => module.source.startsWith('src/')).length
  const files = globSync('src/**/*.ts', { cwd: baseDir }).length
  if (read < files)
    return [{ rule: 'read', text: `read ${read} of the ${files} files in src: the other rules prove nothing` }]
  return summary.violations.map(({ rule, from, to, cycle }) => {
    const name = rule.name === 'no-cycle' ? `no-cycle: ${from.split('/')[1]}` : rule.name
    return { rule: name, text: `${name}: ${from} → ${cycle?.map(step => step.name).join(' → ') ?? to}` }
  })
}
