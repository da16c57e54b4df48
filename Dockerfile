# Builds the service with the optimised profile and leaves nothing but the binary in the image.
#
#   docker build -t trunkline --build-arg COMMIT="$(git rev-parse --short HEAD)" .
#   docker run -p 8080:8080 -p 127.0.0.1:8081:8081 --stop-timeout 340 --env-file trunkline.env trunkline
#
# As a SIP host (sip.listen, sip.advertised) with --network host in place of -p: media takes two UDP ports for each call
# (sip.rtp_ports), and thousands of published ports are slow, or come out as others than those that peers were told.
# --stop-timeout: SIGTERM starts a drain that lets live calls finish (calls.drain_timeout, 5 minutes by default); goodbyes
# and the end of the process take up to half a minute more.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# .dockerignore lets in what the build reads and nothing else.
COPY . .
# Shown by the metric trunkline_build_info.
ARG COMMIT=unknown
# `otlp` sends traces where log.otlp_endpoint says; `entra` takes tokens of Azure in the place of a key ("otlp entra": both).
ARG FEATURES=otlp
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    TRUNKLINE_COMMIT=$COMMIT cargo build --profile dist --locked --package trunkline --bin trunkline --features "$FEATURES" \
    && install -D target/dist/trunkline /out/trunkline

FROM debian:bookworm-slim
# Certificate authorities are compiled in: no package is needed at run time.
COPY --from=build /out/trunkline /usr/local/bin/trunkline
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin trunkline
USER 10001:10001
# An empty directory: configuration comes by environment or `--config FILE`.
WORKDIR /var/empty

# Reachable from outside the container. Beyond loopback the service asks for ingest.secret, admin.token and
# realtime.url, and does not start without them.
ENV TRUNKLINE__MEDIA__LISTEN=0.0.0.0:8080 \
    TRUNKLINE__ADMIN__LISTEN=0.0.0.0:8081 \
    TRUNKLINE__LOG__FORMAT=json
EXPOSE 8080 8081 5060/udp 5060/tcp 5061/tcp
STOPSIGNAL SIGTERM
# No HEALTHCHECK: the orchestrator asks /healthz and /readyz, on either port.
ENTRYPOINT ["/usr/local/bin/trunkline"]
CMD ["serve"]
