// Command cluster is a Kubernetes control plane in one binary, and its launcher.
package main

import (
	"os"
	"path/filepath"
)

func main() {
	// Called as kube-apiserver (a link, or by the launcher) it is kube-apiserver.
	if run, ok := components[filepath.Base(os.Args[0])]; ok {
		os.Exit(run())
	}
	if len(os.Args) > 1 {
		if run, ok := components[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			os.Exit(run())
		}
	}
	os.Exit(1)
}
