#!/usr/bin/env bash
# Generates the definitions of Strimzi's topics and users, in each version that it has, from the jars that
# tests/strimzi/pom.xml pins, into the directory $1. Cold: half a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/toolchain.sh java

stamp=$1/.pom.xml
if ! cmp -s tests/strimzi/pom.xml "$stamp"; then
  echo "getting Strimzi's API and generating its definitions (once)"
  rm -rf "$1"
  mkdir -p "$1/jars"
  mvn --quiet --batch-mode -f tests/strimzi/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$1/jars"
  for version in v1 v1beta2; do
    mkdir "$1/$version"
    java -cp "$1/jars/*" io.strimzi.crdgenerator.CrdGenerator --yaml --target-kube 1.16+ \
      --crd-api-version v1 --api-versions $version --storage-version $version \
      "io.strimzi.api.kafka.model.topic.KafkaTopic=$1/$version/kafkatopics.yaml" \
      "io.strimzi.api.kafka.model.user.KafkaUser=$1/$version/kafkausers.yaml" 2>/dev/null
    test -s "$1/$version/kafkatopics.yaml" && test -s "$1/$version/kafkausers.yaml"
  done
  # Written last: what was interrupted is begun again.
  cp tests/strimzi/pom.xml "$stamp"
fi
touch "$1"
