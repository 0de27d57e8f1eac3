package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// paths of the health checks, as different stacks have them.
var healthPaths = []string{
	"/health", "/healthz", "/ready", "/actuator/health/readiness", "/actuator/health/liveness",
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	for _, path := range healthPaths {
		mux.HandleFunc("GET "+path, s.health)
	}
	mux.HandleFunc("GET /info", s.info)
	mux.HandleFunc("/work", s.work)
	mux.HandleFunc("/call", s.call)
	mux.HandleFunc("POST /order", s.order)
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.events.seen()) })
	mux.HandleFunc("POST /misbehave", func(w http.ResponseWriter, r *http.Request) {
		if err := s.misbehave(r.URL.Query().Get("how")); err != nil {
			answer(w, http.StatusBadRequest, err.Error())
			return
		}
		answer(w, http.StatusOK, "as you wish")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that has left needs no answer
}

func (s *service) health(w http.ResponseWriter, _ *http.Request) {
	if s.unhealthy.Load() {
		answer(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	answer(w, http.StatusOK, "ok")
}

// info says who answers and what it was given, without the values of secrets.
func (s *service) info(w http.ResponseWriter, _ *http.Request) {
	config := map[string]string{}
	for _, variable := range os.Environ() {
		key, value, _ := strings.Cut(variable, "=")
		if strings.Contains(key, "PASSWORD") || strings.Contains(key, "KEY") || strings.Contains(value, "@") {
			value = fmt.Sprintf("%d bytes", len(value))
		}
		config[key] = value
	}
	answer(w, http.StatusOK, map[string]any{
		"service": s.name, "version": s.version, "pod": s.pod, "started": s.started.UTC(), "config": config,
	})
}

// work takes so many milliseconds (?ms=5) or so many of CPU (?cpu=5), and says which version has answered.
func (s *service) work(w http.ResponseWriter, r *http.Request) {
	milliseconds := func(key string) time.Duration {
		number, _ := strconv.Atoi(r.URL.Query().Get(key))
		return time.Duration(number) * time.Millisecond
	}
	for start := time.Now(); time.Since(start) < milliseconds("cpu"); {
	}
	time.Sleep(milliseconds("ms") + time.Duration(s.slow.Load())*time.Millisecond)
	answer(w, http.StatusOK, map[string]string{"service": s.name, "version": s.version, "pod": s.pod})
}

// call asks every service that this one depends on, each over a new connection: a rule of the network that
// has come in the meantime does not end those that exist.
func (s *service) call(w http.ResponseWriter, r *http.Request) {
	http.DefaultClient.CloseIdleConnections()
	if failures := s.callAll(r.Context()); len(failures) > 0 {
		answer(w, http.StatusBadGateway, failures)
		return
	}
	answer(w, http.StatusOK, s.calls)
}

func (s *service) callAll(ctx context.Context) map[string]string {
	var lock sync.Mutex
	failures := map[string]string{}
	var all sync.WaitGroup
	for variable, target := range s.calls {
		all.Go(func() {
			if err := get(ctx, target+"/work"); err != nil {
				lock.Lock()
				defer lock.Unlock()
				failures[variable] = err.Error()
			}
		})
	}
	all.Wait()
	return failures
}

func get(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", target, response.Status)
	}
	return nil
}

// order is taken when every service that must know has answered and the event is with the brokers.
func (s *service) order(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if id == "" {
		answer(w, http.StatusBadRequest, "an order has an id")
		return
	}
	if failures := s.callAll(r.Context()); len(failures) > 0 {
		answer(w, http.StatusBadGateway, failures)
		return
	}
	if err := s.events.publish(r.Context(), id); err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, id)
}
