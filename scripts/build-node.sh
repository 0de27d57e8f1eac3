#!/usr/bin/env bash
# Builds or gets what a real node runs into the directory $1: kubelet, kube-proxy and containerd from
# source, runc, nft and the CNI plugins from Debian's packages, unpacked there and installed nowhere.
# Cold: about ten minutes, most of them for containerd.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/packages.sh
output=$1
packages=(runc containernetworking-plugins nftables libnftables1 libnftnl11 libmnl0 libjansson4 libedit2 libbsd0
  libmd0 libtinfo6 libxtables12 libgmp10 libseccomp2)

[ "$(uname -s)" = Linux ] || {
  echo "a real node needs Linux; elsewhere use kind or any other cluster for tests: see TEST_KUBECONFIG in CONTRIBUTING.md" >&2
  exit 1
}
scripts/toolchain.sh go
mkdir -p "$output"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# runc, nft, CNI plugins, with the libraries that they need.
get_packages() {
  if ! has_packages; then
    local missing=0
    for name in runc nft; do
      command -v "$name" >/dev/null || { echo "missing: $name; install your system's package of it" >&2; missing=1; }
    done
    for plugins in /opt/cni/bin /usr/lib/cni /usr/libexec/cni; do [ ! -x "$plugins/bridge" ] || break; done
    [ -x "$plugins/bridge" ] || { echo "missing: the CNI plugins (bridge, host-local, loopback)" >&2; missing=1; }
    [ "$missing" = 0 ] || exit 1
    mkdir -p "$output/lib"
    ln -sf "$(command -v runc)" "$(command -v nft)" "$output/"
    ln -sfn "$plugins" "$output/cni"
    return
  fi
  echo "unpacking runc, nftables and the CNI plugins"
  unpack_packages "$work" "$output/lib" "${packages[@]}"
  mkdir -p "$output/cni"
  install "$work/root/usr/sbin/runc" "$work/root/usr/sbin/nft" "$output/"
  install "$work/root"/usr/lib/cni/{bridge,host-local,loopback} "$output/cni/"
}

build() { # MODULE FILE PACKAGE [LDFLAGS]
  go build -C "$1" -trimpath -ldflags "-s -w ${4:-}" -o "$output/$2" "$3"
}

get_packages
echo "building kubelet, kube-proxy and containerd (the first time takes some minutes)"
# CGO_ENABLED is part of the cache key of every package: always the same value, or all is built anew.
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOWORK=off
version=$(sed -n 's/^\tk8s.io\/kubernetes v//p' tests/cluster/go.mod)
build tests/cluster kubelet ./node "-X k8s.io/component-base/version.gitVersion=v$version"
ln -sf kubelet "$output/kube-proxy"
ln -sf kubelet "$output/name-server"
for program in containerd containerd-shim-runc-v2 ctr; do
  build tests/node "$program" "github.com/containerd/containerd/v2/cmd/$program"
done
build tests/node pause ./pause
touch "$output"
