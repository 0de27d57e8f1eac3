package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"text/tabwriter"
)

// request is what another command asks of the supervisor, as JSON over the control socket.
type request struct {
	Command   string `json:"command"`
	Component string `json:"component,omitempty"`
	Signal    string `json:"signal,omitempty"`
	Image     image  `json:"image,omitzero"`
}

type answer struct {
	Text  string `json:"text"`
	Error string `json:"error,omitempty"`
}

// pending is a request with the connection that waits for its answer.
type pending struct {
	request request
	conn    net.Conn
}

func (p pending) answer(text string, err error) {
	defer p.conn.Close()
	a := answer{Text: text}
	if err != nil {
		a.Error = err.Error()
	}
	_ = json.NewEncoder(p.conn).Encode(a) // an asker that has left needs no answer
}

// listen serves the control socket. Requests wait in line until the supervisor is ready, so
// an answer to any of them also means that the instance is up.
func listen(ctx context.Context) (<-chan pending, error) {
	listener, err := net.Listen("unix", socketFile)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	requests := make(chan pending)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				p := pending{conn: conn}
				if err := json.NewDecoder(conn).Decode(&p.request); err != nil {
					p.answer("", err)
					return
				}
				requests <- p
			}()
		}
	}()
	return requests, nil
}

// ask sends a request to the supervisor of the instance in the current directory.
func ask(r request) (string, error) {
	conn, err := net.Dial("unix", socketFile)
	if err != nil {
		return "", fmt.Errorf("no instance is running here; `cluster start` starts one (%w)", err)
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return "", err
	}
	var a answer
	if err := json.NewDecoder(conn).Decode(&a); err != nil {
		return "", fmt.Errorf("the supervisor ended before it answered: %w", err)
	}
	if a.Error != "" {
		return a.Text, errors.New(a.Error)
	}
	return a.Text, nil
}

// handle does what a request asks, on the supervisor's own goroutine.
func (s *supervisor) handle(ctx context.Context, r request) (string, error) {
	switch r.Command {
	case "start":
		return s.revive(ctx)
	case "restart":
		return s.restart(ctx, r.Component)
	case "signal":
		return s.signal(r.Component, r.Signal)
	case "compact":
		revision, err := s.etcd.compact(ctx)
		return "compacted to revision " + revision, err
	case "load":
		return s.load(r.Image)
	case "status":
		return s.status(ctx), nil
	}
	return "", fmt.Errorf("unknown request %q", r.Command)
}

func (s *supervisor) component(name string) (*process, error) {
	if p := s.processes[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no component %q; there are %s", name, strings.Join(s.order(), ", "))
}

// revive starts what has ended, so that `start` on a damaged instance repairs it.
func (s *supervisor) revive(ctx context.Context) (string, error) {
	for _, name := range s.order() {
		if !s.processes[name].running() {
			if err := s.start(ctx, name); err != nil {
				return "", err
			}
		}
	}
	return "", s.waitUsable(ctx)
}

// restart keeps port, certificates, keys and tokens: they are files and arguments.
func (s *supervisor) restart(ctx context.Context, name string) (string, error) {
	p, err := s.component(name)
	if err != nil {
		return "", err
	}
	p.stop(restartGrace)
	return name + " restarted", s.start(ctx, name)
}

var signals = map[string]syscall.Signal{
	"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT,
	"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT, "HUP": syscall.SIGHUP,
}

func (s *supervisor) signal(name, signal string) (string, error) {
	p, err := s.component(name)
	if err != nil {
		return "", err
	}
	number, ok := signals[strings.TrimPrefix(strings.ToUpper(signal), "SIG")]
	if !ok {
		return "", fmt.Errorf("unknown signal %q; there are KILL, TERM, INT, STOP, CONT, HUP", signal)
	}
	if !p.running() {
		return "", fmt.Errorf("%s is not running; `cluster restart` starts it", name)
	}
	if err := p.cmd.Process.Signal(number); err != nil {
		return "", err
	}
	if number == syscall.SIGKILL {
		<-p.done // the caller may rely on it being gone
	}
	return name + " got SIG" + strings.TrimPrefix(strings.ToUpper(signal), "SIG"), nil
}

func (s *supervisor) status(ctx context.Context) string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tPID\tSTATE")
	for _, name := range s.order() {
		p := s.processes[name]
		state := "running"
		if !p.running() {
			state = "ended: " + fmt.Sprint(p.err)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", name, p.cmd.Process.Pid, state)
	}
	table.Flush()
	ready := "usable"
	if err := usable(ctx, s.api, s.nodes); err != nil {
		ready = err.Error()
	}
	fmt.Fprintf(&text, "server %s: %s", s.apiURL(), ready)
	return text.String()
}
