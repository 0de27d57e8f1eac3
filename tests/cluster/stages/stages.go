// Package stages holds what the simulated nodes and pods do, as kwok stages. The files are
// templates for two readers: [[ ]] is filled in here, {{ }} by kwok for each object.
package stages

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed *.yaml
var files embed.FS

// YAML is all files as one stream of documents.
func YAML() (string, error) {
	templates, err := template.New("").Delims("[[", "]]").ParseFS(files, "*.yaml")
	if err != nil {
		return "", err
	}
	// The tag is what follows the last colon, unless that is the port of a registry. A digest
	// may follow it.
	values := map[string]any{
		"Failures":   failures,
		"TagOfImage": fmt.Sprintf("regexFind `%s` (regexFind `:[^/:@]+(@|$)` .image)", tags()),
		"TagsCreating": fmt.Sprintf(`.status.containerStatuses[]? | select(.state.waiting.reason == "ContainerCreating") `+
			`| .image | capture(":[^/:@]*?(?<tag>%s)[^/:@]*(@|$)").tag`, tags()),
	}
	var stream strings.Builder
	for _, file := range templates.Templates() {
		stream.WriteString("\n---\n")
		if err := file.Execute(&stream, values); err != nil {
			return "", err
		}
	}
	return stream.String(), nil
}
