#!/bin/sh
# Builds nfpm as nfpm/go.mod pins it, once, and keeps it under $XDG_CACHE_HOME/restore-agent. Prints where.
set -eu
module=$(cd "$(dirname "$0")/nfpm" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restore-agent
nfpm=$cache/nfpm-$(cat "$module"/go.* | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$nfpm.lock"
flock 9
if [ ! -x "$nfpm" ]; then
  echo 'building nfpm' >&2
  (cd "$module" && go build -buildvcs=false -trimpath -ldflags='-s -w' -o "$nfpm.new" \
    github.com/goreleaser/nfpm/v2/cmd/nfpm) >&2
  mv "$nfpm.new" "$nfpm"
fi
echo "$nfpm"
