# The image of the heavy steps: the package and what it needs, without Airflow. `docker build -f docker/step.Dockerfile .`
FROM docker.io/library/python:3.11-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    GIT_PYTHON_REFRESH=quiet

WORKDIR /opt/masker

# The dependencies change rarely: their layer comes before the source. The lock is of the whole project, so it only
# constrains here. torch comes from PyPI with CUDA; with PIP_FIND_LINKS set to a folder of wheels, from there.
COPY pyproject.toml requirements.txt ./
RUN pip install --no-cache-dir --root-user-action=ignore "$(grep -m1 '^uv==' requirements.txt)" \
    && python3 -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]))' > steps.txt \
    && uv pip install --system --system-certs --no-cache ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} \
       --constraint requirements.txt --requirement steps.txt \
    && pip uninstall --yes --root-user-action=ignore uv

COPY README.md LICENSE ./
COPY include/identity_masker include/identity_masker
RUN pip install --no-cache-dir --root-user-action=ignore --no-deps .
COPY include/config config

RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp masker
# Pods mount a writable /tmp over a read-only root.
ENV MASKER_CONFIG_DIR=/opt/masker/config \
    MASKER_HOME=/tmp/masker \
    HOME=/tmp
USER 10001:10001
ENTRYPOINT ["masker"]
CMD ["--help"]
