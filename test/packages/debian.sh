#!/bin/sh
# debian.sh SUITE PACKAGE...: makes a minimal Debian with these packages, a user mysql and no Node.js, in a folder that
# is kept under $XDG_CACHE_HOME/restore-agent. Prints the folder. The mirror is the one that this machine's apt uses.
set -eu
suite=$1
shift
include=$(echo "$@" | tr ' ' ,)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restore-agent
root=$cache/debian-$suite-$(echo "$include" | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$root.lock"
flock 9
if [ ! -e "$root/complete" ]; then
  rm -rf "$root.new" "$root"
  mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | grep -v security | head -1)
  echo "making Debian $suite with $*" >&2
  mmdebstrap --quiet --variant=minbase --format=directory --include="$include" "$suite" "$root.new" \
    --customize-hook='chroot "$1" useradd --system --uid 999 --home-dir /nonexistent mysql' "deb $mirror $suite main" >&2
  : >"$root.new/complete"
  mv "$root.new" "$root"
fi
echo "$root"
