#!/usr/bin/env bash
# The two base images under their own names, from Debian's packages: for a machine that reaches no image registry, to
# build and try the image there (tests/packaging/image_walk.py). Where `docker pull` works, leave it alone: these are no
# substitute for what the Python and PostgreSQL projects publish.
#
#   deploy/stand_in_images.sh [MIRROR]        as root; needs docker and mmdebstrap
#
# python:3.11-slim-bookworm  Debian 12 with its python3.11
# postgres:17-bookworm       Debian 13 with its postgresql-17 (Debian 12 has none), and as much of the published image's
#                            entry point as docker-compose.yaml asks for: POSTGRES_USER, _PASSWORD, _DB and PGDATA
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

cat >"$folder/entrypoint" <<'END'
#!/bin/sh
set -eu
[ "$1" = postgres ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" && chown -R postgres "$PGDATA" && chmod 700 "$PGDATA"
    install -d -o postgres -g postgres /var/run/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?must be set}" "${POSTGRES_USER:=postgres}" "${POSTGRES_DB:=$POSTGRES_USER}"
    (umask 077 && printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/pw)
    initdb --username "$POSTGRES_USER" --pwfile /tmp/pw --auth-local trust --auth-host scram-sha-256
    rm /tmp/pw
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    if [ "$POSTGRES_DB" != postgres ]; then
        pg_ctl -w start -o "-c listen_addresses=''"
        createdb --username "$POSTGRES_USER" "$POSTGRES_DB"
        pg_ctl -w -m fast stop
    fi
fi
exec "$@" -c listen_addresses='*'
END

python="python:3.11-slim-bookworm"
mmdebstrap --quiet --variant=minbase --include=python3.11,python3.11-venv,ca-certificates,netbase,tzdata \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --customize-hook='ln -s /usr/bin/python3.11 "$1/usr/local/bin/python"' \
    --customize-hook='ln -s /usr/bin/python3.11 "$1/usr/local/bin/python3"' \
    bookworm - "$@" | docker import --change 'ENV LANG=C.UTF-8' --change 'CMD ["python"]' - "$python"

postgres="postgres:17-bookworm"
mmdebstrap --quiet --variant=minbase --include=postgresql-17 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --customize-hook="upload $folder/entrypoint /usr/local/bin/docker-entrypoint.sh" \
    --customize-hook='chmod 755 "$1/usr/local/bin/docker-entrypoint.sh"' \
    --customize-hook='rm -rf "$1"/etc/postgresql/* "$1"/var/lib/postgresql/*' \
    trixie - "$@" | docker import \
    --change 'ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data' \
    --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["postgres"]' \
    --change 'VOLUME ["/var/lib/postgresql/data"]' --change 'EXPOSE 5432' --change 'STOPSIGNAL SIGINT' \
    - "$postgres"
docker image ls --filter reference="$python" --filter reference="$postgres"
