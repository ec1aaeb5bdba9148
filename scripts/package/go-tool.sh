#!/bin/sh
# go-tool.sh MODULE PACKAGE: builds the Go program of the module beside this file once, as its go.mod pins it, and keeps
# it under $XDG_CACHE_HOME/restore-agent. Prints its path.
set -eu
module=$(cd "$(dirname "$0")/$1" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restore-agent
program=$cache/$1-$(cat "$module"/*.* | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$program.lock"
flock 9
if [ ! -x "$program" ]; then
  echo "building $1" >&2
  (cd "$module" && go build -buildvcs=false -trimpath -ldflags='-s -w' -o "$program.new" "$2") >&2
  mv "$program.new" "$program"
fi
echo "$program"
