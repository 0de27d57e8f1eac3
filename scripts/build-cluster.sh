#!/usr/bin/env bash
# Builds the control plane into the file $1, with kubectl beside it. Cold: several minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=$1
scripts/toolchain.sh go

version=$(sed -n 's/^\tk8s.io\/kubernetes v//p' tests/cluster/go.mod)
IFS=. read -r major minor _ <<<"$version"
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  flags+=" -X $package.gitTreeState=clean"
done

echo "building the control plane, Kubernetes $version (the first time takes some minutes)"
mkdir -p "$(dirname "$output")"
# CGO_ENABLED is part of the cache key of every package: always the same value, or all is built anew.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off
go build -C tests/cluster -trimpath -ldflags "$flags" -o "$output" .
ln -sf cluster "$(dirname "$output")/kubectl"
touch "$output" # go leaves an unchanged result alone, make would build it again
