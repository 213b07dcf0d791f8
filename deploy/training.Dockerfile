# What trains, in an image: everything of the service's, and torch. Build it from the checkout's root:
#
#   docker build --file deploy/training.Dockerfile --tag tailorbird-training .
#
# For a machine without a GPU, name the index of PyTorch's builds for processors:
# --build-arg TORCH_INDEX=...; the other packages come from the usual one.

FROM python:3.11-slim-bookworm AS built
ARG TORCH_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements/dev.txt requirements/dev.txt
RUN python -m venv /opt/tailorbird \
    && /opt/tailorbird/bin/python -m pip install --only-binary=:all: ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
       -r requirements/dev.txt

FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends tini=0.19.* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin tailorbird
COPY --from=built /opt/tailorbird /opt/tailorbird
WORKDIR /app
COPY tailorbird.py pyproject.toml ./
COPY features/ features/
COPY models/ models/
COPY serving/ serving/
COPY training/ training/
COPY configs/ configs/
ENV PATH=/opt/tailorbird/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001
# The folder of the program comes first on the path, whatever the working directory is.
ENTRYPOINT ["tini", "--", "python", "/app/tailorbird.py"]
CMD ["--help"]
