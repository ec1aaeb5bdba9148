/**
 * npm run release -- --dry-run: makes everything that a release has, in out/: npm package, single file, deb, rpm, their
 * SHA256SUMS, a bill of materials (CycloneDX) and a provenance statement (in-toto, SLSA 1.0; not signed here).
 *
 * Without --dry-run it publishes the npm package as well, and does so only in GitHub Actions, where npm's trusted
 * publishing signs the provenance: no token exists that could be stolen.
 */
import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { execa } from 'execa'
import { OUT, SINGLE_FILE, VERSION } from './package/artefacts.ts'
import { makeLinuxPackages } from './package/linux-packages.ts'
import { makeNpmPackage, makeSbom } from './package/npm-package.ts'
import { makeSingleFile } from './package/single-file.ts'

const isDryRun = process.argv.includes('--dry-run')
if (!isDryRun && !process.env.GITHUB_ACTIONS) {
  console.error(
    'error: a release is published by .github/workflows/release.yml only\nhint: npm run release -- --dry-run',
  )
  process.exit(2)
}

rmSync(OUT, { recursive: true, force: true })
mkdirSync(OUT)
await makeSingleFile(SINGLE_FILE)
const tarball = await makeNpmPackage(OUT)
const sbom = join(OUT, `restore-agent-${VERSION}.cdx.json`)
writeFileSync(sbom, await makeSbom())
const files = [SINGLE_FILE, ...(await makeLinuxPackages(SINGLE_FILE, OUT, VERSION)), tarball, sbom]

const sums = await Promise.all(files.map(async file => ({ name: basename(file), sha256: await sha256(file) })))
writeFileSync(join(OUT, 'SHA256SUMS'), sums.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(''))
writeFileSync(join(OUT, 'provenance.json'), `${JSON.stringify(await provenance(), null, 2)}\n`)
if (!isDryRun) await execa('npm', ['publish', tarball, '--provenance', '--access', 'public'], { stdio: 'inherit' })
console.log(
  [...files.map(file => basename(file)), 'SHA256SUMS', 'provenance.json'].map(name => `out/${name}`).join('\n'),
)

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/** From which commit, with which Node.js, these files were made. */
async function provenance(): Promise<object> {
  const { stdout: commit } = await execa('git', ['rev-parse', 'HEAD'])
  const run = process.env.GITHUB_RUN_ID
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: sums.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'https://github.com/restore-agent/restore-agent/release/v1',
        externalParameters: { command: 'npm run release', version: VERSION },
        resolvedDependencies: [
          { name: 'restore-agent', digest: { gitCommit: commit } },
          { name: 'node', annotations: { version: process.version } },
        ],
      },
      runDetails: {
        builder: { id: run === undefined ? 'local' : `https://github.com/${process.env.GITHUB_REPOSITORY}/actions` },
        metadata: { invocationId: run ?? null },
      },
    },
  }
}
