#!/bin/sh
# Makes a fresh checkout ready: npm packages, and the tools that the demo and the tests run; with the argument
# `packaging` also those that make the packages. Idempotent, and quick when there is nothing to do. On Debian or Ubuntu
# as root it installs what is missing; elsewhere it says what to install.
set -eu
cd "$(dirname "$0")/.."

# npm writes its own lock last; a later one than ours says that an npm ci by hand has done the work.
installed_by_hand() {
  [ -x node_modules/.bin/vitest ] && [ -n "$(find node_modules/.package-lock.json -newer package-lock.json)" ]
}
# Through a link, npm ci would empty the node_modules of another checkout.
if [ ! -L node_modules ] && ! cmp -s package-lock.json node_modules/.installed-lock.json && ! installed_by_hand; then
  echo 'setup: npm ci' >&2
  npm ci --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json node_modules/.installed-lock.json
fi

# program:package
more=
[ "${1:-}" != sources ] || more='nginx:nginx-light tinyproxy:tinyproxy'
[ "${1:-}" != packaging ] || more="strip:binutils objdump:binutils mmdebstrap:mmdebstrap curl:curl lintian:lintian rpm:rpm \
  man:man-db systemd-analyze:systemd dpkg-deb:dpkg setpriv:util-linux"
missing=
for pair in $more mariadb-backup:mariadb-backup mbstream:mariadb-backup mariadbd:mariadb-server-core \
  mariadb-install-db:mariadb-server-core mariadb:mariadb-client zstd:zstd lz4:lz4 gzip:gzip bzip2:bzip2 \
  xz:xz-utils gpg:gnupg openssl:openssl; do
  PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "setup: these packages are missing (Debian's names): $missing" >&2
  echo "setup: install them, for example: sudo apt-get install $missing" >&2
  exit 1
fi

echo "setup: apt-get install $missing" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then # keeps the packages from starting a server
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT INT TERM
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2
# shellcheck disable=SC2086 # a list of package names
apt-get install -y -qq --no-install-recommends $missing >&2
