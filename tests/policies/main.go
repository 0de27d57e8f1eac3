// Command policies answers, for pairs of pods, whether network policies let the one talk to the other. It judges
// with the evaluation of kube-network-policies, which carries policies out on nodes; nothing of ours is in the
// answer. Each line of its input is a system, each line of its output the answers.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"os"
	_ "unsafe" // for the names below

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

// system is what a cluster holds, and what is asked of it.
type system struct {
	Namespaces []v1.Namespace
	Pods       []v1.Pod
	Policies   []networkingv1.NetworkPolicy
	Questions  []question
}

// question is whether pod From may open a connection to port Port of pod To, or to Address outside.
type question struct {
	From, To int
	Address  string
	Port     int
	Protocol v1.Protocol
}

// The parts of the evaluation that need no node; the package exports only the whole.
//
//go:linkname policiesOf sigs.k8s.io/kube-network-policies/pkg/networkpolicy.(*Controller).getNetworkPoliciesForPod
func policiesOf(*networkpolicy.Controller, *v1.Pod) []*networkingv1.NetworkPolicy

//go:linkname evaluate sigs.k8s.io/kube-network-policies/pkg/networkpolicy.(*Controller).evaluator
func evaluate(c *networkpolicy.Controller, ctx context.Context, policies []*networkingv1.NetworkPolicy,
	direction networkingv1.PolicyType, pod *v1.Pod, port int, peer *v1.Pod, address net.IP, peerPort int,
	protocol v1.Protocol) bool

func main() {
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	decoder, output := json.NewDecoder(input), bufio.NewWriter(os.Stdout)
	defer output.Flush()
	for {
		var asked system
		switch err := decoder.Decode(&asked); err {
		case nil:
			output.WriteString(answer(&asked) + "\n")
		case io.EOF:
			return
		default:
			log.Fatal(err)
		}
	}
}

func answer(asked *system) string {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	core, policies := factory.Core().V1(), factory.Networking().V1().NetworkPolicies()
	controller, err := networkpolicy.NewController(fake.NewClientset(), policies, core.Namespaces(), core.Pods(),
		core.Nodes(), nil, nil, nil, networkpolicy.Config{NRIdisabled: true, NodeName: "node"})
	if err != nil {
		log.Fatal(err)
	}
	for i := range asked.Namespaces {
		core.Namespaces().Informer().GetIndexer().Add(&asked.Namespaces[i])
	}
	for i := range asked.Pods {
		core.Pods().Informer().GetIndexer().Add(&asked.Pods[i])
	}
	for i := range asked.Policies {
		policies.Informer().GetIndexer().Add(&asked.Policies[i])
	}
	answers := make([]byte, len(asked.Questions))
	for i, one := range asked.Questions {
		answers[i] = '0'
		if allowed(controller, asked, one) {
			answers[i] = '1'
		}
	}
	return string(answers)
}

// allowed says yes when the policies of both ends do.
func allowed(controller *networkpolicy.Controller, asked *system, one question) bool {
	const ephemeral = 40000
	ctx, from := context.Background(), &asked.Pods[one.From]
	if one.Address != "" {
		return evaluate(controller, ctx, policiesOf(controller, from), networkingv1.PolicyTypeEgress,
			from, ephemeral, nil, net.ParseIP(one.Address), one.Port, one.Protocol)
	}
	to := &asked.Pods[one.To]
	out := evaluate(controller, ctx, policiesOf(controller, from), networkingv1.PolicyTypeEgress,
		from, ephemeral, to, net.ParseIP(to.Status.PodIP), one.Port, one.Protocol)
	in := evaluate(controller, ctx, policiesOf(controller, to), networkingv1.PolicyTypeIngress,
		to, one.Port, from, net.ParseIP(from.Status.PodIP), ephemeral, one.Protocol)
	return out && in
}
