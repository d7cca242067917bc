# The image of the heavy steps: the package and what it needs, without Airflow.
#   docker build -f docker/step.Dockerfile -t identity-masker-step .
FROM docker.io/library/python:3.11-slim-bookworm AS wanted
# Only the list of dependencies: another change of pyproject.toml leaves the layer that installs them as it is.
COPY pyproject.toml .
RUN python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > /steps.txt

FROM docker.io/library/python:3.11-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    GIT_PYTHON_REFRESH=quiet
WORKDIR /opt/masker

# The lock is of the whole project, so here it only constrains. torch comes from PyPI, with CUDA; when PIP_FIND_LINKS names a
# folder of wheels that the build can see, from there: 2 GB instead of 6.
ARG PIP_FIND_LINKS
COPY requirements.txt ./
COPY --from=wanted /steps.txt ./
RUN pip install --no-cache-dir --root-user-action=ignore "$(grep -m1 '^uv==' requirements.txt)" \
    && uv pip install --system --system-certs --no-cache ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} \
       --constraint requirements.txt --requirement steps.txt \
    && pip uninstall --yes --root-user-action=ignore uv

COPY pyproject.toml README.md LICENSE ./
COPY include/identity_masker include/identity_masker
RUN pip install --no-cache-dir --root-user-action=ignore --no-deps .
COPY include/config config

RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp masker
# Pods mount a writable /tmp over a read-only root.
ENV MASKER_CONFIG_DIR=/opt/masker/config \
    MASKER_HOME=/tmp/masker \
    DVC_SITE_CACHE_DIR=/tmp/dvc \
    HOME=/tmp
USER 10001:10001
ENTRYPOINT ["masker"]
CMD ["--help"]
