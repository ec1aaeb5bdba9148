#!/bin/sh
# The service is not enabled: it has no backup to restore before somebody names one.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
# A running agent detaches; its tools go on, and the new agent adopts them.
systemctl try-restart restore-agent.service
