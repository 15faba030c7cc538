# One image for all parts: `up`, `serve`, `worker`, `tick`, `mcp`. Build: docker build -t watchtower .
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY watchtower watchtower
COPY enrichment enrichment
COPY detectors detectors
COPY prompts prompts
COPY evals evals
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir .

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 watchtower \
    && useradd --uid 10001 --gid 10001 --create-home --home-dir /data watchtower
COPY --from=build /venv /venv
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
