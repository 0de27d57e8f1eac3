//go:build !linux

package launcher

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent has no counterpart here: after a SIGKILL of the supervisor, `cluster stop`
// kills the recorded processes.
func dieWithParent(*syscall.SysProcAttr) {}

func startTime(pid int) string {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func memoryDir() string { return "" }
