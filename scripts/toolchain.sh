#!/usr/bin/env bash
# Says which part of the toolchain is missing and how to get it. Arguments: cargo, go, java; the
# first two by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=0
say() { printf 'missing: %s\n' "$1" >&2; missing=1; }

check_cargo() {
  local channel
  channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if ! command -v cargo >/dev/null; then
    say "cargo: install rustup (https://rustup.rs); it then gets Rust $channel by itself"
    return
  fi
  # The first call through rustup installs what rust-toolchain.toml names.
  cargo --version >/dev/null || say "Rust $channel: rustup toolchain install $channel --profile minimal --component clippy,rustfmt"
  cargo fmt --version >/dev/null 2>&1 || say "rustfmt: rustup component add rustfmt"
  cargo clippy --version >/dev/null 2>&1 || say "clippy: rustup component add clippy"
  command -v cc >/dev/null || say "a C compiler (cc): the package build-essential, gcc or Xcode's command line tools"
}

check_go() {
  local wanted have
  wanted=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' tests/cluster/go.mod)
  if ! command -v go >/dev/null; then
    say "Go $wanted or newer, for the control plane of the tests: https://go.dev/dl"
    return
  fi
  have=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go\([0-9]*\.[0-9]*\).*/\1/')
  if [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" != "$wanted" ]; then
    say "Go $wanted or newer (this is $have), for the control plane of the tests: https://go.dev/dl"
  fi
}

# The broker of the Kafka tests. Kafka 4 needs Java 17.
check_java() {
  local have
  command -v mvn >/dev/null || say "Maven (mvn), gets Kafka for the tests: the package maven, or https://maven.apache.org/install.html"
  if ! command -v java >/dev/null || ! command -v javac >/dev/null; then
    say "a JDK 17 or newer (java, javac), runs Kafka for the tests: the package default-jdk-headless, or https://adoptium.net"
    return
  fi
  have=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  [ "${have:-0}" -ge 17 ] || say "Java 17 or newer (this is ${have:-unknown}), runs Kafka for the tests: the package openjdk-17-jdk-headless"
}

for part in "${@:-}"; do
  case $part in
    cargo) check_cargo ;;
    go) check_go ;;
    java) check_java ;;
    *) check_cargo; check_go ;;
  esac
done
exit $missing
