// Package launcher starts, watches and stops a control plane on loopback. One instance lives
// in one directory and belongs to one supervisor process; every other command talks to it.
package launcher

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const usage = `A Kubernetes control plane with simulated nodes, on loopback; or with a real one.

  cluster start   --dir DIR [--nodes 3]           start in the background, or repair what runs
  cluster start   --dir DIR --real PROGRAMS       the same with one real node (root on Linux)
  cluster stop    --dir DIR [--purge]             stop and remove all data; --purge: logs too
  cluster status  --dir DIR
  cluster run     --dir DIR [--nodes 3]           stay in front; ends with stdin, SIGINT, SIGTERM
  cluster load    --dir DIR [--link PATH] PROGRAM IMAGE...
                                                  give the real node an image of one static program
  cluster archive [--link PATH] FILE PROGRAM IMAGE...
                                                  write such images to a file, for other clusters
  cluster restart --dir DIR COMPONENT             same port, data, certificates and tokens
  cluster signal  --dir DIR COMPONENT SIGNAL      KILL, TERM, INT, STOP, CONT, HUP
  cluster compact --dir DIR                       make etcd forget its history
  cluster COMPONENT [ARGUMENTS]                   run one program by itself

COMPONENT is etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok; on a real node
containerd, name-server, kubelet or kube-proxy. kubectl is built in too. DIR holds kubeconfig,
audit.log and logs; PROGRAMS is what "make node-tools" fills.
`

// Main runs one command and returns the exit code.
func Main(arguments []string) int {
	if len(arguments) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	command, ok := commands[arguments[0]]
	if !ok {
		fmt.Fprint(os.Stderr, usage)
		if help := arguments[0]; help == "help" || help == "--help" || help == "-h" {
			return 0
		}
		return 2
	}
	if err := command(arguments[0], arguments[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "cluster %s: %v\n", arguments[0], err)
		return 1
	}
	return 0
}

var commands = map[string]func(name string, arguments []string) error{
	"start":   start,
	"stop":    stop,
	"run":     run,
	"init":    machineInit, // how run enters the namespaces of a real node
	"load":    load,
	"archive": archive,
	"status":  forward,
	"restart": forward,
	"signal":  forward,
	"compact": forward,
}

// options are the flags of all commands; each command reads those that it documents.
type options struct {
	dir        string
	nodes      int
	purge      bool
	background bool
	real       string // programs of a real node; empty for simulated ones
	machine    int    // its number
	inside     int    // we are in its namespaces; the process id of their init on the host
	link       string
	rest       []string
}

// anyNumber of operands: the command itself looks at them.
const anyNumber = -1

func parse(name string, arguments []string, operands int) (options, error) {
	var o options
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.dir, "dir", "", "")
	switch name {
	case "start":
		flags.IntVar(&o.nodes, "nodes", 3, "")
		flags.StringVar(&o.real, "real", "", "")
	case "load", "archive":
		flags.StringVar(&o.link, "link", "", "")
	case "run", "init":
		flags.IntVar(&o.nodes, "nodes", 3, "")
		flags.StringVar(&o.real, "real", "", "")
		flags.IntVar(&o.machine, "machine", 0, "")
		flags.IntVar(&o.inside, "inside", 0, "")
		flags.BoolVar(&o.background, "background", false, "") // how start calls run
	case "stop":
		flags.BoolVar(&o.purge, "purge", false, "")
	}
	if err := flags.Parse(arguments); err != nil {
		return o, fmt.Errorf("%w\n\n%s", err, usage)
	}
	o.rest = flags.Args()
	if (o.dir == "" && name != "archive") || (operands != anyNumber && len(o.rest) != operands) {
		return o, fmt.Errorf("wrong arguments\n\n%s", usage)
	}
	for _, path := range []*string{&o.dir, &o.real} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		*path = absolute
	}
	return o, nil
}

// run is the supervisor. Whoever starts it owns it: it ends when its stdin does.
func run(name string, arguments []string) error {
	o, err := parse(name, arguments, 0)
	if err != nil {
		return err
	}
	if err := enter(o.dir, true); err != nil {
		return err
	}
	var m *machine
	switch {
	case o.inside != 0:
		o.nodes = 1
		m = &machine{Number: o.machine, Programs: o.real, Init: identity{o.inside, startTime(1)}}
	case o.real != "":
		return runMachine(o)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	if !o.background {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	return supervise(ctx, o.nodes, m, func() {
		fmt.Println("ready", filepath.Join(o.dir, kubeconfigFile))
		// In the background nobody reads on: the reader must see the end of the output.
		os.Stdout.Close()
	})
}

// start runs the supervisor in a session of its own and waits for it to be ready.
func start(name string, arguments []string) error {
	o, err := parse(name, arguments, 0)
	if err != nil {
		return err
	}
	if err := enter(o.dir, true); err != nil {
		return err
	}
	held, free, err := lockInstance()
	if err != nil {
		return err
	}
	if !free {
		return startAgain(o)
	}
	held.Close()

	if err := os.MkdirAll(logsDir, 0o755); err != nil {
		return err
	}
	log, err := os.Create(logFile("supervisor"))
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	supervisor := exec.Command(self, "run", "--background", "--dir", o.dir, "--nodes", fmt.Sprint(o.nodes), "--real", o.real)
	supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	supervisor.Stderr = log
	output, err := supervisor.StdoutPipe()
	if err != nil {
		return err
	}
	if err := supervisor.Start(); err != nil {
		return err
	}
	if line, _ := bufio.NewReader(output).ReadString('\n'); line == "" {
		_ = supervisor.Wait()
		// Another start may have been faster by a moment: then its instance is ours too.
		if held, free, err := lockInstance(); err == nil && !free {
			return startAgain(o)
		} else if free {
			held.Close()
		}
		text, _ := os.ReadFile(logFile("supervisor"))
		return errors.New(strings.TrimPrefix(strings.TrimSpace(string(text)), "cluster run: "))
	}
	fmt.Println("ready", filepath.Join(o.dir, kubeconfigFile))
	return nil
}

// startAgain meets a supervisor that runs, or is about to: its answer means ready.
func startAgain(o options) error {
	deadline := time.Now().Add(startTimeout)
	for {
		_, err := ask(request{Command: "start"})
		if err == nil {
			fmt.Println("ready", filepath.Join(o.dir, kubeconfigFile))
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pollInterval)
	}
}

// stop ends the supervisor, by force if it does not answer, and removes what it left.
func stop(name string, arguments []string) error {
	o, err := parse(name, arguments, 0)
	if err != nil {
		return err
	}
	if _, err := os.Stat(o.dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := enter(o.dir, false); err != nil {
		return err
	}
	held, err := stopSupervisor()
	if err != nil {
		return err
	}
	defer held.Close()
	if err := cleanUp(); err != nil {
		return err
	}
	if o.purge {
		return purge(o.dir)
	}
	return nil
}

// stopSupervisor returns with the instance's lock, which only the end of the supervisor frees.
// It uses a signal, not a request: that works while the supervisor is still starting too.
func stopSupervisor() (*os.File, error) {
	asked := false
	for deadline := time.Now().Add(stopTimeout); time.Now().Before(deadline); time.Sleep(pollInterval) {
		held, free, err := lockInstance()
		if err != nil || free {
			return held, err
		}
		s, err := readState()
		if err != nil {
			return nil, err
		}
		if !asked && s.Supervisor.alive() {
			asked = syscall.Kill(s.Supervisor.PID, syscall.SIGTERM) == nil
		}
	}
	s, err := readState()
	if err == nil {
		err = s.Supervisor.killIfAlive()
	}
	if err != nil {
		return nil, err
	}
	held, free, err := lockInstance()
	if err == nil && !free {
		err = fmt.Errorf("process %d still holds the instance; look at it with ps, then stop again", s.Supervisor.PID)
	}
	return held, err
}

// load gives the real node an image, under all the names.
func load(name string, arguments []string) error {
	o, err := parse(name, arguments, anyNumber)
	if err != nil {
		return err
	}
	i, err := o.image(o.rest)
	if err != nil {
		return err
	}
	if err := enter(o.dir, false); err != nil {
		return err
	}
	text, err := ask(request{Command: name, Image: i})
	if text != "" {
		fmt.Println(text)
	}
	return err
}

// image is what PROGRAM IMAGE... says.
func (o options) image(operands []string) (image, error) {
	if len(operands) < 2 {
		return image{}, fmt.Errorf("wrong arguments\n\n%s", usage)
	}
	program, err := filepath.Abs(operands[0])
	i := image{Program: program, Names: operands[1:]}
	if o.link != "" {
		i.Links = []string{o.link}
	}
	return i, err
}

// archive writes images as `kind load image-archive` and `ctr images import` read them.
func archive(name string, arguments []string) error {
	o, err := parse(name, arguments, anyNumber)
	if err != nil {
		return err
	}
	i, err := o.image(o.rest[min(1, len(o.rest)):])
	if err != nil {
		return err
	}
	content, err := i.archive()
	if err != nil {
		return err
	}
	file, err := os.Create(o.rest[0])
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// forward hands a request to the supervisor and prints its answer.
func forward(name string, arguments []string) error {
	operands := map[string]int{"restart": 1, "signal": 2}[name]
	o, err := parse(name, arguments, operands)
	if err != nil {
		return err
	}
	if err := enter(o.dir, false); err != nil {
		return err
	}
	r := request{Command: name}
	if operands > 0 {
		r.Component = o.rest[0]
	}
	if operands > 1 {
		r.Signal = o.rest[1]
	}
	text, err := ask(r)
	if text != "" {
		fmt.Println(text)
	}
	return err
}
