# A PC without a GPU: OpenVINO. Build in the repository's root: docker build -f deploy/cpu.Dockerfile -t aand-edge:cpu .
# docs/service.md says how to run it.
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY aand_edge aand_edge
RUN python3 -m venv /opt/aand-edge \
    && /opt/aand-edge/bin/pip install --no-cache-dir '.[cpu,opencv,plc,mqtt,metrics,web]'

FROM ${BASE}
RUN useradd --uid 10001 --groups video --shell /usr/sbin/nologin --home-dir /var/lib/aand-edge --create-home aand-edge
COPY --from=build /opt/aand-edge /opt/aand-edge
COPY deploy/health.sh /usr/local/bin/aand-edge-health
ENV PATH=/opt/aand-edge/bin:$PATH HOME=/var/lib/aand-edge PYTHONUNBUFFERED=1 AAND_EDGE_HEARTBEAT=/tmp/heartbeat
USER 10001
WORKDIR /srv/aand-edge
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 CMD ["aand-edge-health"]
ENTRYPOINT ["aand-edge"]
CMD ["run", "--json", "--append", "--out", "/var/lib/aand-edge/verdicts"]
