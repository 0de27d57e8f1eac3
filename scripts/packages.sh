# Debian's packages, unpacked and installed nowhere; for scripts to source.

# Whether there are any.
has_packages() {
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null
}

# Unpacks packages into $1/root, and copies the libraries that are in them into $2.
unpack_packages() { # WORK LIBRARIES PACKAGE...
  local work=$1 libraries=$2 package
  # apt hands files over as a user of its own.
  chmod 0755 "$work"
  (cd "$work" && apt-get -o APT::Sandbox::User=root download "${@:3}" >/dev/null) || {
    echo "apt-get cannot download ${*:3}; its lists may be empty or old: apt-get update, then again" >&2
    return 1
  }
  for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
  mkdir -p "$libraries"
  find "$work/root" -name '*.so.*' -not -path '*/xtables/*' -exec cp -a {} "$libraries/" \;
}
