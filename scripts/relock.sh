#!/bin/sh
# Writes package-lock.json anew from package.json, whole for every platform and without the host names of a registry
# (npm's own option for that leaves other platforms' packages out).
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json "$work/"
(cd "$work" && npm install --package-lock-only --ignore-scripts --no-audit --no-fund --loglevel=error)
node -e '
  const fs = require("node:fs")
  const lock = JSON.parse(fs.readFileSync(process.argv[1], "utf8"))
  for (const entry of Object.values(lock.packages)) delete entry.resolved
  fs.writeFileSync("package-lock.json", `${JSON.stringify(lock, null, 2)}\n`)
' "$work/package-lock.json"
