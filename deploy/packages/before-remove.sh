#!/bin/sh
# deb: remove or upgrade; rpm: the number of versions that stay. An upgrade restarts the service after it.
set -e
case ${1:-} in remove | 0) ;; *) exit 0 ;; esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --now restore-agent.service
