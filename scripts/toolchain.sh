#!/usr/bin/env bash
# Says which part of the toolchain is missing and how to get it. Arguments: cargo, go; both by default.
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

for part in "${@:-}"; do
  case $part in
    cargo) check_cargo ;;
    go) check_go ;;
    *) check_cargo; check_go ;;
  esac
done
exit $missing
