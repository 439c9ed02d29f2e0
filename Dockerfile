# The images of PAR. Two targets:
#
#   hardened  `par`, its guest, the C library, certificates. No shell, no Python, no compiler.
#   full      the same on a CPython, for agents the native backend runs.
#
# `docker build --target hardened .` builds everything from source, in the stages below; `just image` builds both from
# what is built on this machine. Needs BuildKit, which builds only the stages a target uses.

# Every base is an argument, so that the images can be built where no registry is within reach.
ARG BUILD_BASE=rust:1.95-bookworm
ARG BASE=debian:bookworm-slim
ARG FULL_BASE=python:3.14-slim-bookworm
# `build`: from source, the context is the repository. `prebuilt`: the context has `par` and `guest`.
ARG ARTEFACTS=build
# The time of every file. A BuildKit of 0.11 or newer takes it for the time of the image, too.
ARG SOURCE_DATE_EPOCH=0

# --- from source ------------------------------------------------------------------------------

# Compiling takes long, so what is made is kept in the builder between builds, those that failed too: the downloads of
# Cargo, what it compiled, and PAR's cache, whose entries are complete or absent and named by what they are made from.
FROM ${BUILD_BASE} AS toolchain
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends build-essential ca-certificates git python3 python3-venv
ENV PAR_CACHE=/build/cache CARGO_TARGET_DIR=/build/target CARGO_HOME=/build/crates CARGO_INCREMENTAL=0
WORKDIR /src

# What changes seldom and takes longest, from what it is made of alone.
FROM toolchain AS extensions
COPY just justfile ./
COPY guest-python/allocator guest-python/allocator
COPY guest-python/build guest-python/build
COPY guest-python/extensions guest-python/extensions
COPY guest-python/requirements guest-python/requirements
RUN --mount=type=cache,id=par,target=/build/cache \
    ./just extensions >/extensions

FROM toolchain AS host
COPY . .
RUN --mount=type=cache,id=par,target=/build/cache \
    --mount=type=cache,id=par-target,target=/build/target \
    --mount=type=cache,id=par-crates,target=/build/crates \
    ./just tools build

# What the builder lost of the two before is built again.
FROM host AS guest
COPY --from=extensions /extensions /extensions
RUN --mount=type=cache,id=par,target=/build/cache \
    --mount=type=cache,id=par-target,target=/build/target \
    --mount=type=cache,id=par-crates,target=/build/crates \
    ./just tools build guest && python3 .ci/image.py context /build/context

FROM scratch AS build
COPY --from=guest /build/context/ /

# --- built before -----------------------------------------------------------------------------

FROM scratch AS prebuilt
COPY . /

# --- runtime ----------------------------------------------------------------------------------

FROM ${ARTEFACTS} AS artefacts

# Everything the hardened image has, and what the full one has beside its base, put together where there is a shell.
# One tree each, one layer, and one time for every file, so that the same inputs make the same layer.
FROM ${BASE} AS rootfs
ARG SOURCE_DATE_EPOCH
COPY --from=artefacts / /artefacts/
RUN sh /artefacts/image/rootfs.sh /artefacts /rootfs /full

FROM scratch AS common
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="PAR, the Pixell Agent Runtime" \
      org.opencontainers.image.description="One agent package, sandboxed, on REST, A2A and UI." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
ENV PAR_GUEST_DIR=/usr/local/lib/par/guest \
    PAR_CACHE_DIR=/var/cache/par \
    PAR_EXIT_CODES=by_class \
    PAR_NATIVE=refuse \
    PAR_OBSERVE=refuse \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    HOME=/nonexistent \
    PATH=/usr/local/bin
USER 10001:10001
WORKDIR /
EXPOSE 8080 50051 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=300s --retries=3 CMD ["/usr/local/bin/par", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/par"]

FROM common AS hardened
LABEL org.opencontainers.image.ref.name="hardened"
COPY --from=rootfs /rootfs/ /

FROM ${FULL_BASE} AS full
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="PAR, the Pixell Agent Runtime, with CPython" \
      org.opencontainers.image.description="One agent package, sandboxed or on CPython, on REST, A2A and UI." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.ref.name="full"
COPY --from=rootfs /full/ /
ENV PAR_GUEST_DIR=/usr/local/lib/par/guest \
    PAR_CACHE_DIR=/var/cache/par \
    PAR_EXIT_CODES=by_class \
    PAR_NATIVE=allow \
    PAR_OBSERVE=refuse \
    PAR_UV=/usr/local/bin/uv \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    HOME=/nonexistent
USER 10001:10001
WORKDIR /
EXPOSE 8080 50051 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=300s --retries=3 CMD ["/usr/local/bin/par", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/par"]
