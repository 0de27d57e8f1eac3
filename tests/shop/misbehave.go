package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// misbehave does what services do on bad days: "slow:500", "unhealthy", "crash:3", "leak", "deaf", and
// "well" to stop it.
func (s *service) misbehave(how string) error {
	how, value, _ := strings.Cut(how, ":")
	number, _ := strconv.Atoi(value)
	switch how {
	case "":
	case "well":
		s.slow.Store(0)
		s.unhealthy.Store(false)
		s.deaf.Store(false)
	case "slow":
		s.slow.Store(int64(number))
	case "unhealthy":
		s.unhealthy.Store(true)
	case "deaf":
		s.deaf.Store(true)
	case "crash":
		fmt.Println("cannot go on")
		os.Exit(max(number, 1))
	case "leak":
		leak()
	default:
		return fmt.Errorf("%q is no way to misbehave", how)
	}
	return nil
}

// leak takes memory until the kernel ends it; at the start, before anything is served.
func leak() {
	const size, page = 8 << 20, 4096
	var held [][]byte
	for {
		chunk := make([]byte, size)
		for index := 0; index < size; index += page {
			chunk[index] = 1
		}
		held = append(held, chunk)
		time.Sleep(10 * time.Millisecond)
		if len(held) > 1<<16 {
			return // not on any machine
		}
	}
}
