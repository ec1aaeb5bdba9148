import type { Command } from './command.ts'

/**
 * A server that nobody else can reach: no network, no replication, no events, no binlog. `user` for mysqld started by
 * root.
 */
export function serverCommand(program: string, datadir: string, user: string | null): Command {
  return {
    file: program,
    args: [
      '--no-defaults',
      ...(user === null ? [] : [`--user=${user}`]),
      `--datadir=${datadir}`,
      `--tmpdir=${datadir}`, // a server that starts removes the temporary tables of all servers from its tmpdir
      `--socket=${SERVER_SOCKET}`,
      '--pid-file=restore-agent.pid',
      '--skip-networking',
      '--skip-grant-tables',
      '--loose-skip-slave-start',
      '--loose-skip-replica-start',
      '--loose-event-scheduler=DISABLED',
      '--skip-log-bin',
    ],
  }
}

/** Relative to the datadir: the path of a socket has 107 bytes at most. */
export const SERVER_SOCKET = 'restore-agent.sock'
