package launcher

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// runMachine runs the supervisor and everything below it in namespaces of their own: network,
// mounts, processes. All of it is gone with the first process in there, however that ends: no
// interface, rule, mount or process can stay behind. Only cgroups have to be removed by hand.
func runMachine(o options) error {
	// The kernel kills init when the thread that started it ends (see dieWithParent).
	runtime.LockOSThread()
	if err := machineAllowed(o.real); err != nil {
		return err
	}
	m, err := newMachine(o.real)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	first := exec.Command(self, "init", "--dir", o.dir, "--real", o.real, "--machine", fmt.Sprint(m.Number))
	first.Stdout, first.Stderr = os.Stdout, os.Stderr
	first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Setsid:     true, // Ctrl-C reaches only us
	}
	dieWithParent(first.SysProcAttr)
	input, err := first.StdinPipe()
	if err != nil {
		return err
	}
	if err := first.Start(); err != nil {
		return fmt.Errorf("no namespaces for the node: %w", err)
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if !o.background {
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				stopped <- syscall.SIGTERM
			}()
		}
		<-stopped
		input.Close() // the supervisor ends with its stdin
	}()
	if err := m.connect(first.Process.Pid); err != nil {
		_ = first.Process.Kill()
		_ = first.Wait()
		return err
	}
	fmt.Fprintln(input, first.Process.Pid)
	if err := first.Wait(); err != nil {
		return fmt.Errorf("the supervisor of the node ended: %w", err)
	}
	return nil
}

// machineAllowed says what is missing for a real node.
func machineAllowed(programs string) error {
	if os.Geteuid() != 0 {
		return errors.New("a real node needs root: it makes namespaces, mounts and cgroups. Without root use kind " +
			"(https://kind.sigs.k8s.io) or any other cluster for tests: see TEST_KUBECONFIG in CONTRIBUTING.md")
	}
	for _, name := range append([]string{"runc", "nft", "ctr", "cni/bridge"}, realNode...) {
		if _, err := os.Stat(filepath.Join(programs, name)); err != nil {
			return fmt.Errorf("%s is missing in %s: `make node-tools` puts it there", name, programs)
		}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return errors.New("ip is missing: install the package iproute2")
	}
	return nil
}

// newMachine takes a number that no other instance has.
func newMachine(programs string) (*machine, error) {
	for range 100 {
		m := &machine{Number: 1 + rand.IntN(254), Programs: programs}
		if _, err := net.InterfaceByName(m.link()); err != nil {
			return m, nil
		}
	}
	return nil, errors.New("no free number for a node: `ip link` shows who has them all")
}

// connect lays the cable and tells the host the way to pods and services. The kernel removes all of
// that with the namespace at the other end.
func (m *machine) connect(pid int) error {
	return ip(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", m.link(), pid),
		fmt.Sprintf("addr add %s/30 dev %s", m.host(), m.link()),
		fmt.Sprintf("link set %s up", m.link()),
		fmt.Sprintf("route add %s via %s", m.pods(), m.address()),
		fmt.Sprintf("route add %s via %s", m.services(), m.address()),
	)
}

// machineInit is the first process of a node: it furnishes the namespaces, starts the supervisor, and
// buries the orphans of containers until that ends.
func machineInit(name string, arguments []string) error {
	o, err := parse(name, arguments, 0)
	if err != nil {
		return err
	}
	if err := enter(o.dir, false); err != nil {
		return err
	}
	asked := make(chan os.Signal, 1) // from now on: the first process gets no signal that it has no handler for
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	input := bufio.NewReader(os.Stdin)
	line, err := input.ReadString('\n')
	if err != nil {
		return fmt.Errorf("started by hand, or the host has given up: %w", err)
	}
	m := &machine{Number: o.machine, Programs: o.real}
	if err := m.furnish(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	arguments = []string{"run", "--inside", strings.TrimSpace(line), "--dir", o.dir, "--real", o.real, "--machine", fmt.Sprint(o.machine)}
	supervisor := exec.Command(self, arguments...)
	supervisor.Stdin, supervisor.Stdout, supervisor.Stderr = os.Stdin, os.Stdout, os.Stderr
	supervisor.Env = m.environment()
	if err := supervisor.Start(); err != nil {
		return err
	}
	os.Stdout.Close() // so that its reader sees the end when the supervisor closes its own
	go func() {
		for range asked {
			_ = supervisor.Process.Signal(syscall.SIGTERM)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == nil && pid == supervisor.Process.Pid {
			os.Exit(status.ExitStatus())
		}
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// environment of everything on the node: its programs and their libraries come first.
func (m *machine) environment() []string {
	return append(os.Environ(),
		"PATH="+m.Programs+":"+os.Getenv("PATH"),
		"LD_LIBRARY_PATH="+m.program("lib"),
	)
}

// furnish gives the namespaces what a node has: addresses, /proc, and empty directories in memory where
// kubelet and containerd keep things. What the host has there is out of sight, not changed.
func (m *machine) furnish() error {
	err := ip(
		"link set lo up",
		fmt.Sprintf("addr add %s/30 dev eth0", m.address()),
		"link set eth0 up",
		"route add default via "+m.host(),
	)
	if err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("the mounts cannot be made private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	for _, dir := range []string{"/run", "/var/lib", "/var/log"} {
		if err := mountMemory(dir); err != nil {
			return err
		}
	}
	return errors.Join(claimCores(), hideSysctls(), m.hideNames(), switchNetwork())
}

// switchNetwork makes the network of the node forward, and look at what pods of one bridge tell each
// other by way of a Service. Both are switches of this network alone.
func switchNetwork() error {
	const bridge = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	if _, err := os.Stat(bridge); err != nil {
		return errors.New("the kernel cannot filter on bridges: `modprobe br_netfilter` loads what it needs")
	}
	return errors.Join(os.WriteFile(bridge, []byte("1"), 0o644), os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
}

func mountMemory(dir string) error {
	if err := syscall.Mount("node", dir, "tmpfs", 0, "mode=0755"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

// claimCores makes kubelet count more cores than there are, those without a place in the topology. Only
// the scheduler goes by that: the kernel still shares out what it has.
func claimCores() error {
	const dir = "/sys/devices/system/cpu"
	cores, err := filepath.Glob(dir + "/cpu[0-9]*")
	if err != nil || len(cores) >= machineCores {
		return err
	}
	// Without a list of memory nodes the cores are counted here.
	if err := errors.Join(mountMemory("/sys/devices/system/node"), mountMemory(dir)); err != nil {
		return err
	}
	for _, core := range cores {
		topology := filepath.Join(core, "topology")
		if err := os.MkdirAll(topology, 0o755); err != nil {
			return err
		}
		number := strings.TrimPrefix(filepath.Base(core), "cpu")
		for name, value := range map[string]string{"core_id": number, "physical_package_id": "0"} {
			if err := os.WriteFile(filepath.Join(topology, name), []byte(value+"\n"), 0o644); err != nil {
				return err
			}
		}
	}
	for number := range machineCores {
		if err := os.MkdirAll(fmt.Sprintf("%s/cpu%d", dir, number), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// hideSysctls puts files over the switches of the whole machine that kubelet would turn: it finds
// them as it wants them and leaves the real ones alone.
func hideSysctls() error {
	const dir = "/run/sysctls"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	} {
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		target := filepath.Join("/proc/sys", name)
		if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return nil
}

// hideNames makes containerd ask the node's own name server: a registry that cannot be reached is then an
// error at once, not after a minute.
func (m *machine) hideNames() error {
	const file, target = "/run/resolv.conf", "/etc/resolv.conf"
	if err := os.WriteFile(file, []byte("nameserver "+m.address()+"\n"), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", target, err)
	}
	return nil
}

// ip runs the program of that name, one line of arguments after the other.
func ip(lines ...string) error {
	for _, line := range lines {
		output, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %s (%w)", line, strings.TrimSpace(string(output)), err)
		}
	}
	return nil
}

// killOthers ends every process of the node but init and this one: containers outlive their kubelet.
func killOthers() { _ = syscall.Kill(-1, syscall.SIGKILL) }
