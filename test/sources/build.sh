#!/bin/sh
# Builds the servers of the source tests from the Go module proxy at the versions pinned in tools/, one module a
# program, and keeps each under $XDG_CACHE_HOME/restore-agent by a hash of its files. Prints the path of the program
# that is asked for; 10 ms when it is there.
set -eu
name=$1
package=$2
tools=$(cd "$(dirname "$0")/tools/$name" && pwd)
key=$(cat "$tools/go.mod" "$tools/go.sum" | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restore-agent/$name-$key
program=$cache/$name
if [ ! -x "$program" ]; then
  command -v go >/dev/null || { echo "error: the source tests build $name and need Go (https://go.dev/dl)" >&2; exit 1; }
  mkdir -p "$cache"
  # Two runs at once would write the same file: the second one waits, then finds it.
  exec 9>"$cache/lock"
  flock 9
  if [ ! -x "$program" ]; then
    echo "building $name" >&2
    (cd "$tools" && go build -buildvcs=false -trimpath -ldflags='-s -w' -o "$program.new" "$package") >&2
    mv "$program.new" "$program"
  fi
fi
echo "$program"
