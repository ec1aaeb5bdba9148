#!/bin/sh
# Builds what the stack tests run, from the Go module proxy at the versions pinned in tools/, and keeps it under
# $XDG_CACHE_HOME/restore-agent by a hash of those files. Prints the directory of the binaries; 30 ms when it is there.
#
# One module a program: a common one would give each the newest library that any of them asks for.
# Prometheus is built without its service discovery (nothing is scraped), the collector from the components that
# otel-collector.yaml names. GOFLAGS=-p=1 keeps the other core free.
set -eu
tools=$(cd "$(dirname "$0")/tools" && pwd)
key=$(cd "$tools" && find . -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/restore-agent/$key
bin=$cache/bin
if [ -e "$cache/complete" ]; then
  echo "$bin"
  exit 0
fi

version=$(go env GOVERSION 2>/dev/null | sed 's/^go//' || :)
minor=$(echo "$version" | cut -d. -f2)
if [ -z "$version" ] || { [ "${version%%.*}" = 1 ] && [ "$minor" -lt 25 ]; }; then
  echo "error: the stack tests build a collector, Prometheus and Jaeger, and need Go >= 1.25; found ${version:-none}" >&2
  echo "hint: install it from https://go.dev/dl and put it on PATH (Go fetches the 1.26 toolchain itself where a module asks for it)" >&2
  exit 1
fi

mkdir -p "$bin"
# Two runs at once would write the same files: the second one waits, then finds them.
exec 9>"$cache/lock"
flock 9
[ -e "$cache/complete" ] && { echo "$bin"; exit 0; }

build() { # build MODULE PACKAGE NAME [FLAG...]
  module=$1 package=$2 name=$3
  shift 3
  [ -x "$bin/$name" ] && return
  echo "building $name" >&2
  (cd "$tools/$module" && go build -buildvcs=false -trimpath -ldflags='-s -w' -o "$bin/$name.new" "$@" "$package") >&2
  mv "$bin/$name.new" "$bin/$name"
}
build prometheus github.com/prometheus/prometheus/cmd/promtool promtool -tags=remove_all_sd
build prometheus github.com/prometheus/prometheus/cmd/prometheus prometheus -tags=remove_all_sd
build compose github.com/compose-spec/compose-go/v2/cmd compose
build jaeger github.com/jaegertracing/jaeger/cmd/jaeger jaeger
build dashboard-linter github.com/grafana/dashboard-linter dashboard-linter
build collector go.opentelemetry.io/collector/cmd/builder ocb
if [ ! -x "$bin/otelcol" ]; then
  echo 'building otelcol' >&2
  cp "$tools/collector/builder.yaml" "$cache/"
  (cd "$cache" && GOFLAGS="${GOFLAGS:-} -buildvcs=false" "$bin/ocb" --config=builder.yaml) >&2
  mv "$cache/otelcol/otelcol" "$bin/otelcol"
  rm -r "$cache/otelcol"
fi
: >"$cache/complete"
echo "$bin"
