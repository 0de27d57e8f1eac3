#!/usr/bin/env bash
# Builds the Kafka brokers of the demo into the file $1. Cold: a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/toolchain.sh go
echo "building the Kafka brokers of the demo (the first time takes a minute)"
mkdir -p "$(dirname "$1")"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off
go build -C tests/broker -trimpath -ldflags "-s -w" -o "$1" .
touch "$1" # go leaves an unchanged result alone, make would build it again
