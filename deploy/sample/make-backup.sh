#!/bin/bash
# A sample server, filled with DATA_MB of data, and a real backup of it: make-backup.sh OUT.xb.zst
# Nothing is left but OUT. For docker-compose.yml's profile `sample`; the stack tests take their backup with it as well.
#
# The server is told to flush late and the backup is taken at once, so its redo log holds all that was loaded and
# prepare has work to do.
set -euo pipefail
out=$1
work=$(mktemp -d)
data=$work/data
server=
end() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" || :; }
  rm -rf "$work"
}
trap end EXIT
PATH=$PATH:/usr/sbin
user=(); [ "$(id -u)" != 0 ] || user=(--user=root)
sql() { mariadb --no-defaults --user=root --socket="$work/sock" -NB "$@"; }

mariadb-install-db --no-defaults "${user[@]}" --datadir="$data" --auth-root-authentication-method=normal --skip-test-db >"$work/install.log" 2>&1 \
  || { cat "$work/install.log" >&2; exit 1; }
mariadbd --no-defaults "${user[@]}" --datadir="$data" --socket="$work/sock" --pid-file="$work/pid" --log-error="$work/server.log" \
  --skip-networking --log-bin=binlog --server-id=1 \
  --innodb-log-file-size=2G --innodb-buffer-pool-size=512M --innodb-max-dirty-pages-pct=99 --innodb-doublewrite=0 &
server=$!
until sql -e 'select 1' >/dev/null 2>&1; do
  kill -0 "$server" || { tail -n 20 "$work/server.log" >&2; exit 1; }
  sleep 0.2
done

tables=6
rows=$((${DATA_MB:-120} * 1024 * 1024 / tables / 1150)) # about 1150 bytes a row, with its index
sql -e 'create database sample'
for table in $(seq $tables); do
  echo "loading sample.t$table, $rows rows" >&2
  sql sample -e "create table t$table (id bigint unsigned primary key auto_increment, k bigint not null, c varchar(512) not null,
      b varbinary(900) not null, key (k)) engine=innodb;
    insert into t$table (k, c, b) select floor(rand() * 1e12), repeat(md5(rand()), 5), concat(sha2(rand(), 512), sha2(rand(), 512),
      sha2(rand(), 512), sha2(rand(), 512), sha2(rand(), 512), sha2(rand(), 512)) from seq_1_to_$rows"
done

echo "backup to $out" >&2
mkdir "$work/tool"
mariadb-backup --no-defaults --backup --stream=xbstream --user=root --socket="$work/sock" --datadir="$data" --target-dir="$work/tool" \
  2>"$work/backup.log" | zstd -q -f -o "$out" || { tail -n 20 "$work/backup.log" >&2; exit 1; }
