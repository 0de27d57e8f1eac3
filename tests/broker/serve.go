package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	brokers = 3
	// The same in every process: topics that are gone after a restart are then seen as deleted, as they
	// are, and not as topics of another cluster.
	clusterID = "development-broker"
)

// serve runs the brokers on free ports until SIGTERM and writes their addresses, with commas between
// them, to the file.
func serve(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(brokers),
		kfake.ClusterID(clusterID),
		kfake.DefaultNumPartitions(1), // as Kafka has it
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)),
	)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if err := replace(file, strings.Join(cluster.ListenAddrs(), ",")+"\n"); err != nil {
		return err
	}
	defer os.Remove(file)
	<-ctx.Done()
	return nil
}

// replace writes a file at once: who waits for it never reads a part of it.
func replace(file, text string) error {
	part := file + ".part"
	if err := os.WriteFile(part, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(part, file)
}
