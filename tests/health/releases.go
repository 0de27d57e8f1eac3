package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	helm "github.com/fluxcd/helm-controller/api/v2"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// checkReleases reads a file of HelmReleases with Flux's own types: a field that they do not have, or of
// another type, is an error. Flux publishes the definition of this kind in no Go module.
func checkReleases(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	documents, count := yamlutil.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text))), 0
	defer documents.Close()
	buffer := make([]byte, len(text)+1)
	for {
		length, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return count, fmt.Errorf("%s: %w", file, err)
		}
		var release helm.HelmRelease
		if err := yaml.UnmarshalStrict(buffer[:length], &release); err != nil {
			return count, fmt.Errorf("%s: %w", file, err)
		}
		if release.APIVersion != helm.GroupVersion.String() || release.Kind != helm.HelmReleaseKind || !release.HasChartTemplate() {
			return count, fmt.Errorf("%s: %s is no HelmRelease with a chart", file, release.Name)
		}
		count++
	}
	return count, nil
}
