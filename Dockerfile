# An image with the packages of uv.lock, and without this code, which comes with the jobs: docs/commands.md.
FROM python:3.11-slim
# Triton compiles its launchers with gcc when a kernel runs for the first time on a GPU.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev git && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /opt/lasnn
COPY pyproject.toml uv.lock ./
RUN UV_PROJECT_ENVIRONMENT=/opt/venv uv sync --locked --no-cache --no-install-project --no-dev --no-group crate --group kubernetes
# Snakemake has each pod install its plugin with pip: from here, as uv.lock has it.
RUN uv export --locked --only-group s3 --no-emit-project --format requirements-txt --output-file s3.txt \
    && pip download --no-cache-dir --no-deps --require-hashes --requirement s3.txt --dest /opt/wheels
ENV PATH=/opt/venv/bin:$PATH PIP_NO_DEPS=1 PIP_NO_INDEX=1 PIP_FIND_LINKS=/opt/wheels
WORKDIR /workdir
