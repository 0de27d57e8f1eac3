package launcher

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cgroupMounts are the hierarchies of this host: one in version 2, one per controller in version 1.
func cgroupMounts() ([]string, error) {
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var mounts []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 2 && (fields[2] == "cgroup" || fields[2] == "cgroup2") {
			mounts = append(mounts, fields[1])
		}
	}
	if len(mounts) == 0 {
		return nil, errors.New("no cgroups are mounted on this host: a node cannot limit its pods")
	}
	return mounts, nil
}

// makeCgroups makes the node's own one in each hierarchy: kubelet insists on finding it.
func makeCgroups(m *machine) error {
	mounts, err := cgroupMounts()
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		dir := filepath.Join(mount, m.cgroup())
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		// In version 1 a new cpuset has no core and no memory.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			all, err := os.ReadFile(filepath.Join(mount, name))
			if err != nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), all, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroups removes them with everything below. Their processes must be gone or going.
func removeCgroups(m *machine) error {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil // no cgroups, nothing to remove
	}
	for _, mount := range mounts {
		dir := filepath.Join(mount, m.cgroup())
		deadline := time.Now().Add(5 * time.Second)
		for err := removeTree(dir); err != nil; err = removeTree(dir) {
			if time.Now().After(deadline) {
				return fmt.Errorf("a cgroup of the node cannot be removed: %w", err)
			}
			time.Sleep(pollInterval)
		}
	}
	return nil
}

// removeTree removes a directory and those below it, the deepest first. What else is in there belongs to
// the kernel and goes with them.
func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for _, dir := range slices.Backward(dirs) {
		if e := os.Remove(dir); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
