// Judges stored objects as Flux and Argo CD do: by the library kstatus, and by the scripts in
// gitops/argocd/health in the Lua that Argo CD embeds. Every object of the directory has its line in the
// table of expectations, and every line its object. Reads the HelmReleases of the example, too.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// expectation is one line of the table.
type expectation struct {
	Object  string `json:"object"`
	Kstatus string `json:"kstatus"`
	ArgoCD  string `json:"argocd"`
	// A part of what Argo CD shows beside the health.
	Message string `json:"message"`
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: health TABLE OBJECTS SCRIPTS RELEASES")
		os.Exit(2)
	}
	objects, err := run(os.Args[1], os.Args[2], os.Args[3])
	releases, wrong := checkReleases(os.Args[4])
	if err := errors.Join(err, wrong); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("health: %d objects, as Flux and Argo CD should see them; %d HelmReleases\n", objects, releases)
}

func run(table, objects, scripts string) (int, error) {
	text, err := os.ReadFile(table)
	if err != nil {
		return 0, err
	}
	var expected []expectation
	if err := yaml.UnmarshalStrict(text, &expected); err != nil {
		return 0, fmt.Errorf("%s: %w", table, err)
	}
	files, err := filepath.Glob(filepath.Join(objects, "*.yaml"))
	if err != nil {
		return 0, err
	}
	missing := make(map[string]bool)
	for _, file := range files {
		missing[file] = true
	}
	var found []error
	for _, line := range expected {
		file := filepath.Join(objects, line.Object+".yaml")
		if !missing[file] {
			found = append(found, fmt.Errorf("%s: %s is no object, or is named twice", table, line.Object))
			continue
		}
		delete(missing, file)
		if err := line.judge(file, scripts); err != nil {
			found = append(found, fmt.Errorf("%s: %w", file, err))
		}
	}
	for file := range missing {
		found = append(found, fmt.Errorf("%s: no line in %s says what tools should make of it", file, table))
	}
	return len(expected), errors.Join(found...)
}

// judge compares what both tools make of one object with the expectation.
func (expected expectation) judge(file, scripts string) error {
	object, err := read(file)
	if err != nil {
		return err
	}
	seen, err := status.Compute(object)
	if err != nil {
		return fmt.Errorf("kstatus: %w", err)
	}
	health, err := judgeWithLua(filepath.Join(scripts, object.GetKind()+".lua"), object.Object)
	if err != nil {
		return fmt.Errorf("Argo CD: %w", err)
	}
	var wrong []error
	if seen.Status.String() != expected.Kstatus {
		wrong = append(wrong, fmt.Errorf("kstatus says %s (%s), not %s", seen.Status, seen.Message, expected.Kstatus))
	}
	if health.status != expected.ArgoCD {
		wrong = append(wrong, fmt.Errorf("Argo CD says %s (%s), not %s", health.status, health.message, expected.ArgoCD))
	}
	if expected.Message == "" || !strings.Contains(health.message, expected.Message) {
		wrong = append(wrong, fmt.Errorf("Argo CD shows %q, which does not hold %q", health.message, expected.Message))
	}
	return errors.Join(wrong...)
}

// read decodes as a client of the API does: whole numbers are int64.
func read(file string) (*unstructured.Unstructured, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	bytes, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, object.UnmarshalJSON(bytes)
}
