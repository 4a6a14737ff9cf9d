# A PC or server with an NVIDIA GPU: TensorRT. Build in the repository's root, and name NVIDIA's package index, which
# its TensorRT manual gives; PyPI's packages of that name do not hold the library:
#   docker build -f deploy/dgpu.Dockerfile --build-arg NVIDIA_INDEX=... -t aand-edge:dgpu .
# docs/service.md says how to run it. The driver is the host's, by NVIDIA's container toolkit.
ARG BASE=nvidia/cuda:13.0.0-base-ubuntu24.04

FROM ${BASE} AS build
ARG NVIDIA_INDEX
ARG TENSORRT=11.4.*
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY aand_edge aand_edge
RUN python3 -m venv /opt/aand-edge \
    && /opt/aand-edge/bin/pip install --no-cache-dir '.[cpu,opencv,tensorrt,plc,mqtt,metrics,web]' \
    && /opt/aand-edge/bin/pip install --no-cache-dir --extra-index-url "${NVIDIA_INDEX:?}" "tensorrt==${TENSORRT}"

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --groups video --shell /usr/sbin/nologin --home-dir /var/lib/aand-edge --create-home aand-edge
COPY --from=build /opt/aand-edge /opt/aand-edge
COPY deploy/health.sh /usr/local/bin/aand-edge-health
ENV PATH=/opt/aand-edge/bin:$PATH HOME=/var/lib/aand-edge PYTHONUNBUFFERED=1 AAND_EDGE_HEARTBEAT=/tmp/heartbeat \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
WORKDIR /srv/aand-edge
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 CMD ["aand-edge-health"]
ENTRYPOINT ["aand-edge"]
CMD ["run", "--json", "--append", "--out", "/var/lib/aand-edge/verdicts"]
