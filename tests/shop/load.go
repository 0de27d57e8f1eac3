package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// report is what load has seen. Requests are POSTs: a client library may not repeat one in silence.
type report struct {
	New      int            `json:"new"`      // requests with a connection of their own
	Kept     int            `json:"kept"`     // requests over connections that stay
	Failed   int            `json:"failed"`   // no answer, or another one than 200
	Causes   map[string]int `json:"causes"`   // of the failed ones
	Versions map[string]int `json:"versions"` // who has answered
	Slowest  int64          `json:"slowest"`  // answer, in milliseconds
	lock     sync.Mutex
}

// load sends requests until SIGTERM, the end of stdin, or until it has sent enough, and prints the report.
func load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	fresh := flags.Int("new", 1, "workers per URL that open a connection for each request")
	kept := flags.Int("kept", 1, "workers per URL that keep theirs")
	pause := flags.Duration("pause", 10*time.Millisecond, "of each worker between two requests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()

	r := &report{Causes: map[string]int{}, Versions: map[string]int{}}
	var workers sync.WaitGroup
	for _, url := range flags.Args() {
		for range *fresh {
			workers.Go(func() { r.work(ctx, url, true, *pause) })
		}
		for range *kept {
			workers.Go(func() { r.work(ctx, url, false, *pause) })
		}
	}
	fmt.Println("started")
	workers.Wait()
	return json.NewEncoder(os.Stdout).Encode(r)
}

func (r *report) work(ctx context.Context, url string, fresh bool, pause time.Duration) {
	transport := &http.Transport{DisableKeepAlives: fresh, MaxIdleConnsPerHost: 1}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for ctx.Err() == nil {
		start := time.Now()
		version, err := post(client, url)
		r.note(fresh, version, err, time.Since(start))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func post(client *http.Client, url string) (string, error) {
	// A body that cannot be read twice keeps the client from sending it twice.
	body := struct{ io.Reader }{strings.NewReader("{}")}
	response, err := client.Post(url, "application/json", body)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var who struct{ Service, Version string }
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return "", fmt.Errorf("%s %s", response.Status, text)
	}
	if err := json.NewDecoder(response.Body).Decode(&who); err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return who.Service + ":" + who.Version, err
}

func (r *report) note(fresh bool, version string, err error, took time.Duration) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if fresh {
		r.New++
	} else {
		r.Kept++
	}
	r.Slowest = max(r.Slowest, took.Milliseconds())
	if err != nil {
		r.Failed++
		cause := err
		for inner := errors.Unwrap(cause); inner != nil; inner = errors.Unwrap(cause) {
			cause = inner
		}
		r.Causes[fmt.Sprintf("%s: %v", time.Now().UTC().Format("15:04:05.000"), cause)]++
		return
	}
	r.Versions[version]++
}
