package launcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"time"
)

const (
	startTimeout = 2 * time.Minute  // generous: a loaded machine, cold page cache
	restartGrace = 3 * time.Second  // an API server waits longer for its watchers to leave: no use here
	stopTimeout  = 30 * time.Second // longer than the grace of a restart under way
	pollInterval = 50 * time.Millisecond
)

// supervisor owns the components of one instance. Only its own goroutine touches it: requests
// reach it through a channel, so there is nothing to lock.
type supervisor struct {
	nodes     int
	state     state
	processes map[string]*process
	api       *client
	etcd      *client
}

// supervise runs an instance in the current directory until ctx ends: with so many simulated nodes, or
// on the machine of a real one. ready is called once it is usable.
func supervise(ctx context.Context, nodes int, m *machine, ready func()) (err error) {
	// The kernel kills children when the thread that started them ends (see dieWithParent).
	// This one lives as long as the supervisor.
	runtime.LockOSThread()

	held, ok, err := lockInstance()
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("an instance is already running in this directory; `cluster stop` ends it")
	}
	defer held.Close()
	if err := errors.Join(cleanUp(), removeComponentLogs()); err != nil {
		return fmt.Errorf("the previous instance cannot be cleaned up: %w", err)
	}
	sweepData()

	s := &supervisor{nodes: nodes, processes: map[string]*process{}}
	s.state.Machine = m
	defer func() { err = errors.Join(err, s.stop()) }()
	data, err := s.prepare()
	if err != nil {
		return err
	}
	defer data.Close()
	requests, err := listen(ctx)
	if err != nil {
		return err
	}
	for _, name := range s.order() {
		if err := s.start(ctx, name); err != nil {
			return err
		}
	}
	if err := s.waitUsable(ctx); err != nil {
		return err
	}
	ready()

	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-requests:
			r.answer(s.handle(ctx, r.request))
		}
	}
}

// prepare chooses ports and writes all files. The data's lock is held until it is closed.
func (s *supervisor) prepare() (*os.File, error) {
	for _, dir := range []string{logsDir, configDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	data, held, err := newData()
	if err != nil {
		return nil, err
	}
	s.state = state{
		Supervisor: identify(os.Getpid()),
		Components: map[string]identity{},
		Ports:      map[string]int{},
		Data:       data,
		Machine:    s.state.Machine,
	}
	if m := s.state.Machine; m != nil {
		s.state.Supervisor = m.Init
	}
	for _, name := range []string{etcd, apiServer} {
		if s.state.Ports[name], err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := s.state.write(); err != nil {
		return nil, err
	}
	if m := s.state.Machine; m != nil {
		if err := makeCgroups(m); err != nil {
			return nil, err
		}
	}
	token, err := writeCredentials(s.apiURL(), s.state.Machine)
	if err != nil {
		return nil, err
	}
	if s.api, err = newClient(s.apiURL(), token); err != nil {
		return nil, err
	}
	if s.etcd, err = newClient(s.etcdURL(), ""); err != nil {
		return nil, err
	}
	return held, writeConfiguration(s.state.Machine)
}

func (s *supervisor) apiURL() string {
	address := "127.0.0.1"
	if m := s.state.Machine; m != nil {
		address = m.address()
	}
	return fmt.Sprintf("https://%s:%d", address, s.state.Ports[apiServer])
}
func (s *supervisor) etcdURL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.state.Ports[etcd]) }

// freePort looks below the range from which the kernel takes ports for outgoing connections:
// those could take a component's port while it restarts.
func freePort() (int, error) {
	const first, count, tries = 20000, 10000, 100
	for range tries {
		port := first + rand.IntN(count)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			listener.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port found between 20000 and 30000 on 127.0.0.1")
}

// start runs a component and waits until it answers. Of the others their work is what shows them, see
// waitUsable.
func (s *supervisor) start(ctx context.Context, name string) error {
	path, err := s.program(name)
	if err != nil {
		return err
	}
	p, err := startProcess(name, path, s.arguments(name))
	if err != nil {
		return err
	}
	s.processes[name] = p
	s.state.Components[name] = identify(p.cmd.Process.Pid)
	if err := s.state.write(); err != nil {
		return err
	}
	switch name {
	case etcd:
		return s.wait(ctx, name, func() error { return s.etcd.healthy(ctx, "/health") })
	case apiServer:
		return s.wait(ctx, name, func() error { return s.api.healthy(ctx, "/readyz") })
	case containerd:
		if err := s.wait(ctx, name, s.containerdAnswers); err != nil {
			return err
		}
		return s.loadPause()
	}
	return nil
}

func (s *supervisor) waitUsable(ctx context.Context) error {
	if s.state.Machine == nil {
		err := s.wait(ctx, apiServer, func() error { return createNodes(ctx, s.api, s.nodes) })
		if err != nil {
			return err
		}
	}
	return s.wait(ctx, controllerManager, func() error { return usable(ctx, s.api, s.nodes) })
}

// wait polls a condition. It gives up early when any component that was started has ended.
func (s *supervisor) wait(ctx context.Context, blame string, condition func() error) error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := condition()
		if err == nil {
			return nil
		}
		for _, name := range s.order() {
			if p := s.processes[name]; p != nil && !p.running() {
				return p.failure()
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %s: %w\n%s", startTimeout, err, logTail(blame))
		}
		select {
		case <-ctx.Done():
			return errors.New("stopped while starting")
		case <-time.After(pollInterval):
		}
	}
}

// stop ends everything and removes the data. Nothing is kept, so nothing needs a grace period;
// the order still spares the logs a storm of errors.
func (s *supervisor) stop() error {
	for _, name := range slices.Backward(s.order()) {
		if p := s.processes[name]; p != nil {
			p.kill()
		}
	}
	if s.state.Machine != nil {
		killOthers()
	}
	return cleanUp()
}
