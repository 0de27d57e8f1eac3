// Command broker is the Kafka cluster of the demo: three brokers in one process, in memory. It speaks
// Kafka's protocol and is no Kafka: the tests run on the real one.
package main

import (
	"errors"
	"fmt"
	"os"
)

const usage = `Three Kafka brokers in one process, in memory, on loopback.

  broker serve FILE         serve until SIGTERM; FILE gets their addresses as soon as they listen
  broker topics ADDRESSES   print the topics that they have
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 {
		switch args[0] {
		case "serve":
			return serve(args[1])
		case "topics":
			return topics(os.Stdout, args[1])
		}
	}
	fmt.Fprint(os.Stderr, usage)
	return errors.New("a command and its argument are needed")
}
