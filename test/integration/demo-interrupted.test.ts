import { join } from 'node:path'
import { expect, test } from 'vitest'
import { installServer, startServer } from '../../scripts/sample/server.ts'
import { until } from '../support/until.ts'
import { processesAt, workspace } from './workspace.ts'

/** What the demo has to end when it is interrupted. */
type Stop = () => Promise<void>

test('a server can be stopped from its first moment, before it has answered; so can its installation', async () => {
  const at = workspace()
  let stop: Stop | null = null
  const hear = (given: Stop) => {
    stop = given
  }
  const heard = async () => {
    await until(() => stop !== null && processesAt(at.dir).length > 0)
    await stop!()
    stop = null
    // The client that asked the server ends by itself, when its socket is gone.
    await until(() => processesAt(at.dir).length === 0)
  }

  const installing = expect(installServer(join(at.dir, 'half'), [], hear)).rejects.toThrow('SIGKILL')
  await heard()
  await installing

  await installServer(at.datadir)
  const starting = expect(startServer(at.datadir, join(at.dir, 'log'), [], hear)).rejects.toThrow('did not start')
  await heard()
  await starting
})
