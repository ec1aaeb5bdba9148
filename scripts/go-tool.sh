#!/bin/sh
# go-tool.sh FOLDER PACKAGE: builds a Go program once, as the go.mod in the folder pins it, and keeps it under
# $XDG_CACHE_HOME/restore-agent by a hash of the folder's files. Prints its path. Two calls at once build it once.
set -eu
module=$(cd "$1" && pwd)
name=$(basename "$module")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restore-agent
program=$cache/$name-$(cat "$module"/*.* | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$program.lock"
flock 9
if [ ! -x "$program" ]; then
  command -v go >/dev/null || { echo "error: $name is built from source and needs Go (https://go.dev/dl)" >&2; exit 1; }
  echo "building $name" >&2
  (cd "$module" && go build -buildvcs=false -trimpath -ldflags='-s -w' -o "$program.new" "$2") >&2
  mv "$program.new" "$program"
fi
echo "$program"
