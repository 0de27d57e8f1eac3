package launcher

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is one running component.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has ended and was reaped
	err  error         // how it ended; valid after done
}

// startProcess runs a component in its own session, so that Ctrl-C on the supervisor does not
// reach it and the supervisor decides the order of stopping. It must be called from the
// supervisor's own thread: see dieWithParent.
func startProcess(name, program string, args []string) (*process, error) {
	log, err := os.OpenFile(logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	cmd := exec.Command(program, args...)
	cmd.Args[0] = name // the multi-call binary, ps and the user agents go by this name
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	dieWithParent(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", name, err)
	}

	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop asks the process to end, and insists after the grace period.
func (p *process) stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // a paused process would never see the request
	select {
	case <-p.done:
	case <-time.After(grace):
		p.kill()
	}
}

// failure explains an unexpected end: how, the last words, where to read on.
func (p *process) failure() error {
	how := "it exited without an error"
	if p.err != nil {
		how = p.err.Error()
	}
	return fmt.Errorf("%s stopped: %s\n%s", p.name, how, logTail(p.name))
}

func logFile(name string) string { return filepath.Join("logs", name+".log") }

// logTail is the end of a component's log with the path to the rest.
func logTail(name string) string {
	const lines = 12
	path, _ := filepath.Abs(logFile(name))
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return "Its log is empty: " + path
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := all[max(0, len(all)-lines):]
	return "The end of " + path + ":\n    " + strings.Join(last, "\n    ")
}

// identity names a process beyond doubt: a pid alone may be used again by a stranger.
type identity struct {
	PID     int    `json:"pid"`
	Started string `json:"started"`
}

func identify(pid int) identity { return identity{pid, startTime(pid)} }

func (i identity) alive() bool {
	return i.PID > 0 && i.Started != "" && startTime(i.PID) == i.Started
}

// killIfAlive kills exactly the process that was recorded, never a later one with its pid.
func (i identity) killIfAlive() error {
	if !i.alive() {
		return nil
	}
	if err := syscall.Kill(i.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("process %d cannot be stopped: %w", i.PID, err)
	}
	for range 100 {
		if !i.alive() {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("process %d is still there 2 s after SIGKILL", i.PID)
}
