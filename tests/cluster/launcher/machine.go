package launcher

import (
	"fmt"
	"path/filepath"
)

// machine is a real node's own world: its network, the directory of its programs, its name. Each
// instance has another number, so that several run beside each other. The addresses are from
// 198.18.0.0/15, which is set aside for tests and routed nowhere.
type machine struct {
	Number   int    `json:"number"`
	Programs string `json:"programs"`
	// The process id of its init and the time when that started, as the host sees them.
	Init identity `json:"init"`
}

const (
	machineNode  = "node-1"
	machineCores = 16 // claimed: a shop of eight services asks for more than a laptop has
)

func (m *machine) host() string     { return fmt.Sprintf("198.19.%d.253", m.Number) }
func (m *machine) address() string  { return fmt.Sprintf("198.19.%d.254", m.Number) }
func (m *machine) pods() string     { return fmt.Sprintf("198.19.%d.0/25", m.Number) }
func (m *machine) services() string { return fmt.Sprintf("198.18.%d.0/24", m.Number) }

// apiService is the first address of the services, which the API server takes for itself.
func (m *machine) apiService() string { return fmt.Sprintf("198.18.%d.1", m.Number) }

// link is the host's end of the cable.
func (m *machine) link() string { return fmt.Sprintf("msnode%d", m.Number) }

// cgroup holds everything that kubelet and containerd make.
func (m *machine) cgroup() string { return fmt.Sprintf("/microservice-node-%d", m.Number) }

func (m *machine) program(name string) string { return filepath.Join(m.Programs, name) }
