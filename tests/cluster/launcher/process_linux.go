package launcher

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// dieWithParent lets the kernel kill the child when the thread that started it ends, which is
// how components disappear even if the supervisor is killed with SIGKILL.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// startTime is field 22 of /proc/PID/stat, empty when the process is gone or a zombie. The
// command name before it may hold spaces and brackets, so fields are counted after its end.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" {
		return ""
	}
	return string(fields[19])
}

// memoryDir is a place in memory with room for etcd, or empty. Containers often have a
// /dev/shm of 64 MB only, less than etcd's first write-ahead log.
func memoryDir() string {
	const dir, room = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < room {
		return ""
	}
	return dir
}
