import { writeToFifo } from '../process/fifo.ts'
import { runTransfer } from '../source/transfer/run-transfer.ts'

/** `restore-agent transfer`, which only the agent starts: the object that standard input names, to standard output. */
export async function transferCommand(): Promise<number> {
  process.title = 'restore-transfer'
  if (await runTransfer(process.stdin, writeToFifo(1))) return 0
  process.stderr.write('Broken pipe: the next tool ended before all bytes were written\n')
  return 1
}
