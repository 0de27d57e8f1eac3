// Command node is what a real node of the tests runs, in one binary: kubelet, kube-proxy and a name
// server for Services.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	switch filepath.Base(os.Args[0]) {
	case "kubelet":
		os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	case "name-server":
		if err := serveNames(); err != nil {
			fmt.Fprintln(os.Stderr, "name-server:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "call this as kubelet, kube-proxy or name-server, through a link")
		os.Exit(2)
	}
}
