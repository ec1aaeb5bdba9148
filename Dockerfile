# restore-agent as one file in a folder of its own, /opt/restore-agent, for the images that have the tools already: so
# the tools' version is the server's. One target a use:
#   docker build --target files .               the folder alone: COPY --from it, or mount it
#   docker build --target mariadb .             MariaDB's image (--build-arg MARIADB=mariadb:10.11)
#   docker build --target percona-xtrabackup .  Percona's image (--build-arg PXB=8.0)
#   docker build --target mariadb-backup .      Debian's mariadb-backup 10.11; Kubernetes copies the folder from it
#   docker build --target sample .              the same with a server: for docker-compose.yml's profile `sample`
# The file needs glibc 2.28 and libstdc++, so no Alpine image.
ARG NODE=node:24.21.0-bookworm-slim
ARG MARIADB=mariadb:11.4
ARG PXB=8.4

FROM ${NODE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY LICENSE ./
COPY src ./src
COPY scripts ./scripts
RUN node scripts/package.ts && mkdir /opt/restore-agent && mv out/restore-agent-* /opt/restore-agent/restore-agent

FROM scratch AS files
COPY --from=build /opt/restore-agent /opt/restore-agent

# A restore's state dir is /var/lib/restore-agent, whoever runs it: mount a volume there, or a new container forgets what
# was interrupted. 999 is what the MySQL and MariaDB images use, so that a restored datadir fits them as it is.
FROM ${MARIADB} AS mariadb
COPY --from=files /opt/restore-agent /opt/restore-agent
RUN ln -s /opt/restore-agent/restore-agent /usr/local/bin/ && install -d -o mysql -g mysql /var/lib/restore-agent /restored
ENV XDG_STATE_HOME=/var/lib
USER mysql
ENTRYPOINT ["restore-agent"]

FROM percona/percona-xtrabackup:${PXB} AS percona-xtrabackup
USER root
COPY --from=files /opt/restore-agent /opt/restore-agent
RUN ln -s /opt/restore-agent/restore-agent /usr/local/bin/ && install -d -o 999 -g 999 /var/lib/restore-agent /restored
ENV XDG_STATE_HOME=/var/lib
USER 999:999
ENTRYPOINT ["restore-agent"]

FROM debian:bookworm-slim AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends zstd lz4 gzip bzip2 xz-utils gnupg openssl libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
RUN groupadd --system --gid 999 mysql \
 && useradd --system --uid 999 --gid mysql --home-dir /var/lib/restore-agent --shell /usr/sbin/nologin mysql \
 && install -d -o mysql -g mysql /var/lib/restore-agent /backup /restored
COPY --from=files /opt/restore-agent /opt/restore-agent
RUN ln -s /opt/restore-agent/restore-agent /usr/local/bin/
ENV XDG_STATE_HOME=/var/lib
WORKDIR /restored
ENTRYPOINT ["restore-agent"]
CMD ["--help"]

FROM base AS mariadb-backup
RUN apt-get update \
 && apt-get install -y --no-install-recommends mariadb-backup \
 && rm -rf /var/lib/apt/lists/*
USER mysql

FROM mariadb-backup AS sample
USER root
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
 && apt-get update \
 && apt-get install -y --no-install-recommends mariadb-server-core mariadb-client \
 && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d
COPY deploy/sample/make-backup.sh /usr/local/bin/make-sample-backup
USER mysql
