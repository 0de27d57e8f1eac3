#!/usr/bin/env bash
# Builds the Go module $1 of this repository into the file $2; $3 says what that is. What follows goes to
# `go build`: tags, and the package where that is not the module's own. Cold: a minute or two.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/toolchain.sh go
echo "building $3 (the first time takes a minute)"
mkdir -p "$(dirname "$2")"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off
go build -C "$1" -trimpath -ldflags "-s -w" -o "$2" "${@:4}"
touch "$2" # go leaves an unchanged result alone, make would build it again
