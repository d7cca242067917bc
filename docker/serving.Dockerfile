# The image of what answers requests: `masker serve`, `masker gateway` and `masker fleet`, without what trains, ingests and
# analyses: 1.4 GB where the image of the steps has 2.2 (torch for the CPU).
#   docker build -f docker/serving.Dockerfile -t identity-masker-serving .
FROM docker.io/library/python:3.11-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    GIT_PYTHON_REFRESH=quiet
WORKDIR /opt/masker

# Versions come from the lock of the whole project. boto3: MLflow's client reads models from an object store with it.
# torch as in step.Dockerfile: from PyPI with CUDA, or from the folder of wheels that PIP_FIND_LINKS names.
ARG PIP_FIND_LINKS
COPY requirements.txt ./
RUN pip install --no-cache-dir --root-user-action=ignore "$(grep -m1 '^uv==' requirements.txt)" \
    && uv pip install --system --system-certs --no-cache ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} \
       --constraint requirements.txt \
       boto3 click fastapi fastapi-offline feast fsspec httptools httpx kubernetes mlflow-skinny numpy \
       onnxruntime opentelemetry-exporter-otlp-proto-http pillow prometheus-client psycopg[binary] pyarrow pydantic pydantic-settings \
       pyjwt[crypto] python-multipart pyyaml redis rich s3fs safetensors scipy \
       sqlalchemy structlog torch uvicorn uvloop \
    && pip uninstall --yes --root-user-action=ignore uv

COPY pyproject.toml README.md LICENSE ./
COPY include/identity_masker include/identity_masker
RUN pip install --no-cache-dir --root-user-action=ignore --no-deps .
COPY include/config config

RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp masker
# Pods mount a writable /tmp over a read-only root.
ENV MASKER_CONFIG_DIR=/opt/masker/config \
    MASKER_HOME=/tmp/masker \
    HOME=/tmp
USER 10001:10001
# Whatever the list above lacks ends the build here.
RUN python3 -c 'import identity_masker.experiments.live, identity_masker.features.feast_objects, identity_masker.features.repository, identity_masker.masking.artifact, identity_masker.masking.examination, identity_masker.masking.graph_masker, identity_masker.registry.examiners, identity_masker.release.status, identity_masker.serving.cluster.fleet, identity_masker.serving.fleet, identity_masker.serving.gateway, identity_masker.serving.serve, identity_masker.serving.smoke, identity_masker.telemetry.events, opentelemetry.exporter.otlp.proto.http.trace_exporter'
ENTRYPOINT ["masker"]
CMD ["--help"]
