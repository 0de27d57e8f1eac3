#!/usr/bin/env bash
# Copies Apache Kafka and what it needs, as tests/kafka/pom.xml pins it, to the directory $1. Cold: half
# a minute, 44 MB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/toolchain.sh java

stamp=$1/.pom.xml
if ! cmp -s tests/kafka/pom.xml "$stamp"; then
  echo "getting Apache Kafka (once)"
  rm -rf "$1"
  mkdir -p "$1"
  mvn --quiet --batch-mode -f tests/kafka/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$1"
  # Written last: a copy that was interrupted is begun again.
  cp tests/kafka/pom.xml "$stamp"
fi
touch "$1"
