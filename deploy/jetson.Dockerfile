# A Jetson: TensorRT and OpenCV of JetPack, none of PyPI. Build in the repository's root, on a Jetson of that release:
#   docker build -f deploy/jetson.Dockerfile -t aand-edge:jetson .
# The tag is L4T's: r36.4 is JetPack 6.2. For another release name its image, its OpenCV and its CUDA:
#   --build-arg BASE=... --build-arg OPENCV=... --build-arg CUDA_PYTHON='cuda-python<13.3'
# docs/service.md says how to run it. The driver, Argus and its GStreamer plugins are the host's, by NVIDIA's runtime.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0

FROM ${BASE}
# JetPack's package with GStreamer; python3-opencv is Ubuntu's, where the image does not know it.
ARG OPENCV=libopencv-python
ARG CUDA_PYTHON=cuda-python<12.7
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        python3 python3-venv python3-libnvinfer "${OPENCV}" \
        gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --groups video --shell /usr/sbin/nologin --home-dir /var/lib/aand-edge --create-home aand-edge
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY aand_edge aand_edge
# numpy<2: JetPack's OpenCV is compiled against NumPy 1. CUDA_PYTHON: no newer than JetPack's CUDA.
RUN python3 -m venv --system-site-packages /opt/aand-edge \
    && /opt/aand-edge/bin/pip install --no-cache-dir '.[tensorrt,gpio,plc,mqtt,metrics,web]' 'numpy<2' "${CUDA_PYTHON}"
COPY deploy/health.sh /usr/local/bin/aand-edge-health
ENV PATH=/opt/aand-edge/bin:$PATH HOME=/var/lib/aand-edge PYTHONUNBUFFERED=1 AAND_EDGE_HEARTBEAT=/tmp/heartbeat \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=all
USER 10001
WORKDIR /srv/aand-edge
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 CMD ["aand-edge-health"]
ENTRYPOINT ["aand-edge"]
CMD ["run", "--json", "--append", "--out", "/var/lib/aand-edge/verdicts"]
