package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Files of an instance, relative to its directory. Every command changes into that directory
// first: a unix socket's path is limited to about 100 bytes, a relative one always fits.
const (
	lockFile       = "lock"
	stateFile      = "state.json"
	socketFile     = "control.sock"
	kubeconfigFile = "kubeconfig"
	auditFile      = "audit.log"
	logsDir        = "logs"
	configDir      = "config"
)

const dataPrefix = "microservice-cluster-"

// state is what a later command needs to clean up after a supervisor that is gone.
type state struct {
	Supervisor identity            `json:"supervisor"`
	Components map[string]identity `json:"components"`
	Ports      map[string]int      `json:"ports"`
	Data       string              `json:"data"`
	Machine    *machine            `json:"machine,omitempty"`
}

func readState() (state, error) {
	var s state
	text, err := os.ReadFile(stateFile)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

func (s state) write() error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	temporary := stateFile + ".new"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, stateFile)
}

// enter makes dir the working directory, creating it when asked to.
func enter(dir string, create bool) error {
	if create {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("no instance in %s: %w", dir, err)
	}
	return nil
}

// lock takes the exclusive lock on a file; ok is false when somebody else holds it. The kernel
// drops it when its holder ends, however it ends, so a held lock means a live supervisor.
func lock(path string, flags int) (file *os.File, ok bool, err error) {
	file, err = os.OpenFile(path, flags|os.O_RDWR, 0o644)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, true, nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = nil
	}
	return nil, false, err
}

// lockInstance takes the instance's lock. Without it nothing in the directory may be changed.
func lockInstance() (*os.File, bool, error) { return lock(lockFile, os.O_CREATE) }

// cleanUp removes what an instance leaves: processes of a supervisor that was killed, etcd's
// data, keys, the kubeconfig. Logs and the audit log stay for reading. The lock must be held.
func cleanUp() error {
	s, err := readState()
	if err != nil {
		return fmt.Errorf("%s is not readable, remove it by hand: %w", stateFile, err)
	}
	if s.Machine != nil {
		// Its processes had ids of their own, and the kernel has ended them with their first one.
		s.Components = nil
		if err := removeCgroups(s.Machine); err != nil {
			return err
		}
	}
	for _, component := range s.Components {
		if err := component.killIfAlive(); err != nil {
			return err
		}
	}
	if s.Data != "" {
		if err := os.RemoveAll(s.Data); err != nil {
			return err
		}
	}
	for _, path := range []string{socketFile, kubeconfigFile, configDir, stateFile} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// removeComponentLogs clears what the previous instance left to read.
func removeComponentLogs() error {
	errs := []error{os.RemoveAll(auditFile)}
	for _, name := range slices.Concat(controlPlane, []string{kwok}, realNode) {
		errs = append(errs, os.RemoveAll(logFile(name)))
	}
	return errors.Join(errs...)
}

// purge removes the rest, and the directory unless somebody else keeps files there.
func purge(dir string) error {
	err := errors.Join(os.RemoveAll(logsDir), os.RemoveAll(auditFile), os.RemoveAll(lockFile))
	_ = os.Remove(dir) // refused when it is not empty
	return err
}

// newData makes the directory for etcd's data, in memory where possible, and locks it for the
// life of this process.
func newData() (string, *os.File, error) {
	base := memoryDir()
	if base == "" {
		base, _ = os.Getwd()
	}
	dir, err := os.MkdirTemp(base, dataPrefix)
	if err != nil {
		return "", nil, err
	}
	held, _, err := lock(filepath.Join(dir, lockFile), os.O_CREATE)
	return dir, held, err
}

// sweepData removes data in memory whose supervisor is gone without having had the chance to.
func sweepData() {
	const settled = time.Minute // a younger one may be about to take its lock
	base := memoryDir()
	if base == "" {
		return
	}
	dirs, _ := filepath.Glob(filepath.Join(base, dataPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < settled {
			continue
		}
		if held, ok, _ := lock(filepath.Join(dir, lockFile), 0); ok {
			_ = os.RemoveAll(dir)
			held.Close()
		}
	}
}
