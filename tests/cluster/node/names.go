package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// serviceDomain is what the names of Services end in.
const serviceDomain = ".svc.cluster.local."

// names answers what pods ask most: the address of a Service. It is no DNS server for a cluster: no
// pods, no ports, no names of the outside.
type names struct {
	services listers.ServiceLister
}

// serveNames runs until SIGTERM.
func serveNames() error {
	flags := flag.NewFlagSet("name-server", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	listen := flags.String("listen", "", "ADDRESS:PORT for UDP")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	factory := informers.NewSharedInformerFactory(client, 0)
	services := factory.Core().V1().Services()
	informer := services.Informer()
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return errors.New("stopped before the first list of Services")
	}
	conn, err := net.ListenPacket("udp", *listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return names{services.Lister()}.serve(ctx, conn)
}

func (n names) serve(ctx context.Context, conn net.PacketConn) error {
	buffer := make([]byte, 4096)
	for {
		size, peer, err := conn.ReadFrom(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := n.answer(buffer[:size])
		if err != nil {
			fmt.Fprintf(os.Stderr, "a question of %s: %v\n", peer, err)
			continue
		}
		if _, err := conn.WriteTo(answer, peer); err != nil {
			fmt.Fprintf(os.Stderr, "the answer to %s: %v\n", peer, err)
		}
	}
}

// answer to one question: what is known with a short time to live, else that there is no such name.
func (n names) answer(packet []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(packet)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	message := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired,
		},
		Questions: []dnsmessage.Question{question},
	}
	address, known := n.address(strings.ToLower(question.Name.String()))
	switch {
	case !known:
		message.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA && address != nil:
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 5},
			Body:   &dnsmessage.AResource{A: [4]byte(address)},
		}}
	}
	return message.Pack()
}

// address of SERVICE.NAMESPACE.svc.cluster.local, nil for one without an address of its own.
func (n names) address(name string) (net.IP, bool) {
	name, in := strings.CutSuffix(name, serviceDomain)
	service, namespace, two := strings.Cut(name, ".")
	if !in || !two {
		return nil, false
	}
	found, err := n.services.Services(namespace).Get(service)
	if err != nil {
		return nil, false
	}
	if found.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil, true
	}
	return net.ParseIP(found.Spec.ClusterIP).To4(), true
}
