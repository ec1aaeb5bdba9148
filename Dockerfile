# restore-agent with the tools it drives. One target a tool family:
#   docker build --target mariadb-backup .      MariaDB (Debian's mariadb-backup 10.11)
#   docker build --target percona-xtrabackup .  MySQL and Percona Server (--build-arg PXB=84-lts or 80)
#   docker build --target sample .              the first, with a server: for docker-compose.yml's profile `sample`
ARG NODE=node:24.21.0-bookworm-slim

FROM ${NODE} AS build
WORKDIR /app
# The package `node` brings a second Node: the image has its own, so no install scripts.
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${NODE} AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends zstd lz4 gzip bzip2 xz-utils gnupg openssl perl-base util-linux \
 && rm -rf /var/lib/apt/lists/*
# 999 is what the MySQL and MariaDB images use, so that a restored datadir fits them as it is.
RUN groupadd --system --gid 999 mysql \
 && useradd --system --uid 999 --gid mysql --home-dir /var/lib/restore-agent --shell /usr/sbin/nologin mysql \
 && install -d -o mysql -g mysql /var/lib/restore-agent /backup /restored
COPY --from=build /app/package.json /app/package.json
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
RUN ln -s /app/dist/main.js /usr/local/bin/restore-agent && chmod +x /app/dist/main.js
# The state dir is /var/lib/restore-agent, whoever runs it: mount a volume there, or a new container forgets what was interrupted.
ENV XDG_STATE_HOME=/var/lib
WORKDIR /restored
ENTRYPOINT ["restore-agent"]
CMD ["--help"]

FROM base AS mariadb-backup
RUN apt-get update \
 && apt-get install -y --no-install-recommends mariadb-backup \
 && rm -rf /var/lib/apt/lists/*
USER mysql

FROM base AS percona-xtrabackup
ARG PXB=84-lts
ADD https://repo.percona.com/apt/percona-release_latest.bookworm_all.deb /tmp/percona-release.deb
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl lsb-release /tmp/percona-release.deb \
 && percona-release enable-only "pxb-${PXB}" \
 && apt-get update \
 && apt-get install -y --no-install-recommends "percona-xtrabackup-${PXB%%-*}" \
 && rm -rf /tmp/percona-release.deb /var/lib/apt/lists/*
USER mysql

FROM mariadb-backup AS sample
USER root
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
 && apt-get update \
 && apt-get install -y --no-install-recommends mariadb-server-core mariadb-client \
 && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d
COPY deploy/sample/make-backup.sh /usr/local/bin/make-sample-backup
USER mysql
