//go:build !linux

package launcher

import "errors"

var errNoMachine = errors.New("a real node needs Linux and root. Elsewhere use kind (https://kind.sigs.k8s.io) or any " +
	"other cluster for tests: see TEST_KUBECONFIG in CONTRIBUTING.md")

func runMachine(options) error           { return errNoMachine }
func machineInit(string, []string) error { return errNoMachine }
func makeCgroups(*machine) error         { return errNoMachine }
func removeCgroups(*machine) error       { return nil }
func killOthers()                        {}
