package launcher

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"microservice.dev/cluster/stages"
)

// Components in the order in which they start; they stop the other way round, because an API
// server that lost its etcd hangs in its shutdown.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
	kwok              = "kwok"
)

var controlPlane = []string{etcd, apiServer, controllerManager, scheduler}

// order of the components of this instance: the control plane, then what nodes are made of.
func (s *supervisor) order() []string {
	if s.state.Machine != nil {
		return slices.Concat(controlPlane, realNode)
	}
	return slices.Concat(controlPlane, []string{kwok})
}

func config(name string) string { return filepath.Join(configDir, name) }

// program is the executable of a component: this binary, or for etcd and the API server the
// one in KUBEBUILDER_ASSETS when that is set. A real node has programs of its own.
func (s *supervisor) program(name string) (string, error) {
	if slices.Contains(realNode, name) {
		return s.state.Machine.program(name), nil
	}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" || (name != etcd && name != apiServer) {
		return os.Executable()
	}
	path := filepath.Join(assets, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("KUBEBUILDER_ASSETS is set, but %s is missing there; unset it to use the built-in one", name)
	}
	return path, nil
}

// arguments of a component. Everything listens on loopback, or in a network of its own.
func (s *supervisor) arguments(name string) []string {
	switch name {
	case containerd, nameServer, kubelet, kubeProxy:
		return s.nodeArguments(name)
	case etcd:
		return []string{
			"--name=cluster",
			"--data-dir=" + filepath.Join(s.state.Data, "etcd"),
			"--listen-client-urls=" + s.etcdURL(),
			"--advertise-client-urls=" + s.etcdURL(),
			// A single member has no peers, but insists on the listener.
			"--listen-peer-urls=http://127.0.0.1:0",
			"--initial-advertise-peer-urls=http://127.0.0.1:0",
			"--initial-cluster=cluster=http://127.0.0.1:0",
			"--unsafe-no-fsync", // the data dies with the instance
			"--log-level=warn",
		}
	case apiServer:
		return append(s.apiServerAddresses(), []string{
			"--etcd-servers=" + s.etcdURL(),
			fmt.Sprintf("--secure-port=%d", s.state.Ports[apiServer]),
			"--tls-cert-file=" + config("server.crt"),
			"--tls-private-key-file=" + config("server.key"),
			"--token-auth-file=" + config("tokens.csv"),
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + config("service-accounts.key"),
			"--service-account-signing-key-file=" + config("service-accounts.key"),
			"--allow-privileged=true", // as everywhere; PodSecurity decides
			"--audit-policy-file=" + config("audit-policy.yaml"),
			"--audit-log-path=" + auditFile,
			"--audit-log-maxsize=4096", // a rotated log would hide requests from a test
			"--profiling=false",
		}...)
	case controllerManager:
		return []string{
			"--kubeconfig=" + config("system:kube-controller-manager.kubeconfig"),
			"--controllers=*,-nodeipam",
			"--use-service-account-credentials", // each controller has its own name in the audit log
			"--service-account-private-key-file=" + config("service-accounts.key"),
			"--root-ca-file=" + config("ca.crt"),
			"--leader-elect=false",
			"--secure-port=0",
			"--kube-api-qps=500",
			"--kube-api-burst=1000",
			"--horizontal-pod-autoscaler-sync-period=5s",
			"--profiling=false",
		}
	case scheduler:
		return []string{"--config=" + config("scheduler.yaml"), "--secure-port=0"}
	default:
		return []string{"--kubeconfig=" + config("kwok.kubeconfig"), "--config=" + config("kwok.yaml")}
	}
}

// ownerReferences is not on by default, but in many clusters: it refuses owner references with
// blockOwnerDeletion to those who may not update the owner's finalizers.
const ownerReferences = "OwnerReferencesPermissionEnforcement"

// apiServerAddresses are the arguments that depend on who must reach the API server: programs on this
// host, or the pods of a real node too.
func (s *supervisor) apiServerAddresses() []string {
	m := s.state.Machine
	if m == nil {
		return []string{
			"--bind-address=127.0.0.1",
			"--advertise-address=127.0.0.1",
			"--authorization-mode=RBAC",
			"--service-cluster-ip-range=10.96.0.0/16",
			// The Service "kubernetes" must not point at a loopback address.
			"--endpoint-reconciler-type=none",
			"--enable-admission-plugins=" + ownerReferences,
		}
	}
	return []string{
		"--bind-address=" + m.address(),
		"--advertise-address=" + m.address(),
		"--authorization-mode=Node,RBAC",
		"--service-cluster-ip-range=" + m.services(),
		"--enable-admission-plugins=NodeRestriction," + ownerReferences,
		"--kubelet-client-certificate=" + config("kubelet-client.crt"),
		"--kubelet-client-key=" + config("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
	}
}

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

var schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: ` + config("system:kube-scheduler.kubeconfig") + `
  qps: 500
  burst: 1000
leaderElection: {leaderElect: false}
enableProfiling: false
`

func writeConfiguration(m *machine) error {
	simulation, err := stages.YAML()
	if err != nil {
		return err
	}
	files := map[string]string{
		"audit-policy.yaml": auditPolicy,
		"scheduler.yaml":    schedulerConfig,
		"kwok.yaml":         simulation,
	}
	if m != nil {
		maps.Copy(files, nodeConfiguration(m))
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(config(name)), 0o755); err != nil {
			return err
		}
		if err := writePrivate(config(name), text); err != nil {
			return err
		}
	}
	return nil
}
