// Command cluster is a Kubernetes control plane in one binary, and its launcher.
package main

import (
	"os"
	"path/filepath"

	"microservice.dev/cluster/launcher"
)

func main() {
	// Called as kube-apiserver (by the launcher, or through a link) it is kube-apiserver.
	if component, ok := components[filepath.Base(os.Args[0])]; ok {
		os.Exit(component())
	}
	if len(os.Args) > 1 {
		if component, ok := components[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			os.Exit(component())
		}
	}
	os.Exit(launcher.Main(os.Args[1:]))
}
