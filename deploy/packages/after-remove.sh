#!/bin/sh
# Only a purge removes what restores have left of themselves: state, tools' output, binlog positions.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "${1:-}" = purge ]; then rm -rf /var/lib/restore-agent; fi
