/**
 * restore-agent as one executable that needs no Node.js: Node's single executable application.
 *
 * esbuild puts the program and its dependencies into one CommonJS script (what Node 24 takes here), Node compiles it
 * ahead (`useCodeCache`, without which a start takes three times as long), and postject writes both into a stripped
 * copy of the Node.js that the package `node` pins. Whitespace is removed, names are not: stack traces stay readable.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { execa } from 'execa'
import { licencesOf } from './licences.ts'

const ROOT = join(import.meta.dirname, '../..')
const BIN = join(ROOT, 'node_modules/.bin')

/** The string in the Node.js binary that postject changes where it has added a program. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** The modules of ours that ask `isSea()` before they read `import.meta`: beside the single file there is nothing. */
const WHERE_AM_I = ['src/cli/licences.ts', 'src/cli/version.ts', 'src/process/self-command.ts']

/** The modules that a file of ours starts with `startThread`. */
const threadsOf = (file: string): string[] =>
  file.startsWith('src/')
    ? [...readFileSync(join(ROOT, file), 'utf8').matchAll(/startThread\('([^']+)'/g)].map(([, name]) => name!)
    : []

/** Writes the executable `output`, which runs the module `entry`. Linux on x64 only. */
export async function makeSingleFile(output: string, entry = 'src/main.ts'): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), 'restore-agent-package-'))
  const inWork = (name: string): string => join(work, name)
  try {
    const inputs = await bundle(entry, inWork('main.cjs'))
    const threads = inputs.flatMap(threadsOf)
    for (const name of threads) inputs.push(...(await bundle(`src/${name}.ts`, inWork(`${name}.js`))))
    writeFileSync(inWork('licences.txt'), licencesOf(inputs))
    const config = {
      main: inWork('main.cjs'),
      output: inWork('program.blob'),
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      assets: {
        'package.json': join(ROOT, 'package.json'),
        'licences.txt': inWork('licences.txt'),
        ...Object.fromEntries(threads.map(name => [`${name}.js`, inWork(`${name}.js`)])),
      },
    }
    writeFileSync(inWork('sea.json'), JSON.stringify(config))
    const node = inWork('node')
    copyFileSync(join(BIN, 'node'), node)
    await execa(node, ['--experimental-sea-config', inWork('sea.json')])
    chmodSync(node, 0o755)
    await execa('strip', [node])
    await execa(join(BIN, 'postject'), [node, 'NODE_SEA_BLOB', config.output, '--sentinel-fuse', FUSE])
    mkdirSync(dirname(output), { recursive: true })
    rmSync(output, { force: true })
    copyFileSync(node, output)
    chmodSync(output, 0o755)
  } finally {
    rmSync(work, { recursive: true })
  }
}

/**
 * The ES modules of @opentelemetry/otlp-grpc-exporter-base find @grpc/grpc-js at run time by `createRequire`, which
 * esbuild cannot follow; the CommonJS ones require it by name. All packages of OpenTelemetry, so that none is there
 * twice.
 */
const openTelemetryAsCommonJs: Plugin = {
  name: 'OpenTelemetry as CommonJS',
  setup(build) {
    build.onResolve({ filter: /^@opentelemetry\// }, ({ path, kind, resolveDir }) =>
      kind === 'require-call' ? null : build.resolve(path, { kind: 'require-call', resolveDir }),
    )
  },
}

/** Bundles `entry` into the script `outfile`; returns the files that are in it, relative to the project. */
async function bundle(entry: string, outfile: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [entry],
    absWorkingDir: ROOT,
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    minifyWhitespace: true,
    minifySyntax: true,
    metafile: true,
    logLevel: 'error',
    plugins: [openTelemetryAsCommonJs],
  })
  const inputs = Object.keys(metafile.inputs)
  if (readFileSync(outfile, 'utf8').includes('createRequire(')) throw new Error('a package loads others at run time')
  const unforeseen = inputs.filter(
    file =>
      file.startsWith('src/') &&
      !WHERE_AM_I.includes(file) &&
      readFileSync(join(ROOT, file), 'utf8').includes('import.meta'),
  )
  if (unforeseen.length > 0) throw new Error(`import.meta has no meaning in the single file: ${unforeseen.join(', ')}`)
  return inputs
}
