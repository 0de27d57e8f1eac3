package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// service is what one pod plays.
type service struct {
	name    string
	version string
	pod     string
	started time.Time
	// URLs of the services that it calls, by the variable that names them.
	calls  map[string]string
	events *events // nil without Kafka
	// Faults, see misbehave.go.
	slow      atomic.Int64 // milliseconds of every answer
	unhealthy atomic.Bool
	deaf      atomic.Bool
	draining  atomic.Bool
}

// drain is how long kept-alive connections are told to close before they are closed. A client learns
// it from the answer to its next request, so that none is in flight when its connection ends.
const drain = 2 * time.Second

// grace is what a request that has begun may still take.
const grace = 10 * time.Second

// ports that differ from everybody's 3000.
var ports = map[string][]string{
	"analytics-service":       {"8000", "9102"},
	"product-catalog-service": {"3000", "50051"},
	"notification-service":    {}, // a worker
	"event-shipper":           {}, // a sidecar
}

func newService(environment []string) *service {
	image, _, _ := strings.Cut(os.Getenv("IMAGE"), "@")
	name, version, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	if given := os.Getenv("SERVICE"); given != "" {
		name = given
	}
	pod, _ := os.Hostname()
	s := &service{name: name, version: version, pod: pod, started: time.Now(), calls: map[string]string{}}
	for _, variable := range environment {
		key, value, _ := strings.Cut(variable, "=")
		target, err := url.Parse(value)
		// Databases are URLs too, with a user.
		if err == nil && strings.HasSuffix(key, "_URL") && target.Scheme == "http" && target.User == nil {
			s.calls[key] = strings.TrimSuffix(value, "/")
		}
	}
	return s
}

// run serves until ctx ends, then finishes what has begun.
func (s *service) run(ctx context.Context) error {
	events, err := newEvents(s)
	if err != nil {
		return err
	}
	s.events = events
	defer s.events.close()

	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	var listeners []net.Listener
	for _, port := range s.ports() {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		listeners = append(listeners, listener)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) && !s.draining.Load() {
				failed <- err
			}
		}()
	}
	fmt.Printf("%s %s serves on %v\n", s.name, s.version, s.ports())
	for {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		if !s.deaf.Load() {
			break
		}
		select {} // told to end, and deaf to it
	}
	fmt.Println("told to end")
	// Who is told to end is out of discovery already: it takes no new connections.
	s.draining.Store(true)
	for _, listener := range listeners {
		listener.Close()
	}
	time.Sleep(drain)
	end, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err = server.Shutdown(end)
	fmt.Println("ended")
	return err
}

func (s *service) ports() []string {
	if given := os.Getenv("PORTS"); given != "" {
		return strings.Split(given, ",")
	}
	if own, ok := ports[s.name]; ok {
		return slices.Clone(own)
	}
	return []string{"3000"}
}
