# The operator alone in an empty image: a static binary, no shell, not root, nothing to write to.
# Build: docker build -t microservice-operator .
ARG RUST=1.95.0
FROM rust:${RUST}-alpine AS build
RUN apk add --no-cache musl-dev
WORKDIR /source
COPY . .
# The image's own toolchain, not the one that rust-toolchain.toml would have rustup get.
ARG RUST
ENV RUSTUP_TOOLCHAIN=${RUST}
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --bin microservice-operator \
 && cp target/release/microservice-operator /microservice-operator

FROM scratch
COPY --from=build /microservice-operator /microservice-operator
COPY --from=build /source/LICENSE /LICENSE
# What is freed is given back at once: an operator is at rest most of the time.
ENV MIMALLOC_PURGE_DELAY=0
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/microservice-operator"]
CMD ["run"]
