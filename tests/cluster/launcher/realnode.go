package launcher

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What runs on a real node, in the order of starting.
const (
	containerd = "containerd"
	nameServer = "name-server"
	kubelet    = "kubelet"
	kubeProxy  = "kube-proxy"
)

var realNode = []string{containerd, nameServer, kubelet, kubeProxy}

const (
	containerdSocket = "/run/containerd/containerd.sock"
	pauseImage       = "docker.io/library/pause:v1"
)

// nodeArguments are those of a component of the node.
func (s *supervisor) nodeArguments(name string) []string {
	m := s.state.Machine
	switch name {
	case containerd:
		return []string{"--config=" + config("containerd.toml"), "--log-level=info"}
	case nameServer:
		return []string{"--kubeconfig=" + config("name-server.kubeconfig"), "--listen=" + m.address() + ":53"}
	case kubelet:
		return []string{
			"--config=" + config("kubelet.yaml"),
			"--kubeconfig=" + config("system:node:"+machineNode+".kubeconfig"),
			"--hostname-override=" + machineNode,
			"--node-ip=" + m.address(),
			"--node-labels=topology.kubernetes.io/region=local,topology.kubernetes.io/zone=zone-a",
		}
	default:
		return []string{"--config=" + config("kube-proxy.yaml")}
	}
}

// nodeConfiguration are the files that the components of the node read.
func nodeConfiguration(m *machine) map[string]string {
	dir, _ := filepath.Abs(configDir)
	fill := strings.NewReplacer(
		"ADDRESS", m.address(), "PODS", m.pods(), "CGROUP", m.cgroup(), "PROGRAMS", m.Programs,
		"CONFIG", dir, "SOCKET", containerdSocket, "PAUSE", pauseImage, "NODE", machineNode,
	)
	files := map[string]string{
		"resolv.conf":       "nameserver " + m.address() + "\n",
		"containerd.toml":   containerdConfig,
		"kubelet.yaml":      kubeletConfig,
		"kube-proxy.yaml":   kubeProxyConfig,
		"cni/pods.conflist": networkConfig,
	}
	for name, text := range files {
		files[name] = fill.Replace(text)
	}
	return files
}

const containerdConfig = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
  address = "SOCKET"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "PAUSE"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true  # its profile would stay in the kernel

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["PROGRAMS/cni"]
  conf_dir = "CONFIG/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "PROGRAMS/runc"
  SystemdCgroup = false
`

// Pods reach the node and the host without masquerading: the host knows the way back.
const networkConfig = `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": true,
    "hairpinMode": true,
    "ipam": {
      "type": "host-local",
      "ranges": [[{"subnet": "PODS"}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`

// Images are loaded by hand and must stay: nothing could fetch them again.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: ADDRESS
readOnlyPort: 0
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: CGROUP
containerRuntimeEndpoint: unix://SOCKET
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: CONFIG/ca.crt}
authorization: {mode: Webhook}
clusterDNS: [ADDRESS]
clusterDomain: cluster.local
resolvConf: CONFIG/resolv.conf
failSwapOn: false
oomScoreAdj: 0
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: "1%", imagefs.available: "1%"}
kubeAPIQPS: 200
kubeAPIBurst: 400
eventRecordQPS: 0
serializeImagePulls: false
`

const kubeProxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: "CONFIG/system:kube-proxy.kubeconfig"}
hostnameOverride: NODE
clusterCIDR: PODS
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

// loadPause loads the image that holds the namespaces of every pod.
func (s *supervisor) loadPause() error {
	_, err := s.load(image{Program: s.state.Machine.program("pause"), Names: []string{pauseImage}})
	return err
}

// load gives the node an image of one program.
func (s *supervisor) load(i image) (string, error) {
	if s.state.Machine == nil {
		return "", fmt.Errorf("simulated nodes need no images; `cluster start --real` starts a real one")
	}
	archive, err := i.archive()
	if err != nil {
		return "", err
	}
	ctr := exec.Command(s.state.Machine.program("ctr"), "--address", containerdSocket, "--namespace", "k8s.io",
		"images", "import", "--local", "-")
	ctr.Stdin = archive
	started := time.Now()
	if output, err := ctr.CombinedOutput(); err != nil {
		return "", fmt.Errorf("ctr images import: %w: %s", err, output)
	}
	return fmt.Sprintf("loaded %s in %d ms", strings.Join(i.Names, ", "), time.Since(started).Milliseconds()), nil
}

// containerdAnswers is nil when containerd takes requests.
func (s *supervisor) containerdAnswers() error {
	output, err := exec.Command(s.state.Machine.program("ctr"), "--address", containerdSocket, "--connect-timeout", "1s", "version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr version: %w: %s", err, output)
	}
	return nil
}

// asJSON is for the few places that write JSON by hand.
func asJSON(value any) []byte {
	text, _ := json.Marshal(value) // maps of strings cannot fail
	return text
}
