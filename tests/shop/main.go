// Command shop plays any service of the shop: it answers requests, calls the services that its
// environment names, produces and consumes its topics, and misbehaves when told to.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const usage = `One service of the shop; which one is in its image (IMAGE) or in SERVICE.

  shop                          serve until SIGTERM
  shop load [FLAGS] URL...      put load on services and report what failed, as JSON; -h lists the flags
`

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	// A link of this name is what an init container calls: it would change the database's schema.
	if filepath.Base(args[0]) == "migrate" {
		fmt.Println("the schema is up to date")
		return nil
	}
	switch {
	case len(args) > 1 && args[1] == "load":
		return load(args[2:])
	case len(args) > 1 && args[1] == "help":
		fmt.Print(usage)
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	s := newService(os.Environ())
	if err := s.misbehave(os.Getenv("MISBEHAVE")); err != nil {
		return err
	}
	return s.run(ctx)
}
