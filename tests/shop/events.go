package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// roles say which topics a service reads and which it then writes, as in examples/shop. The environment
// has their names on the brokers.
var roles = map[string]struct {
	produces string
	consumes []string
}{
	"order-service":        {"order-events", []string{"payment-events", "inventory-events"}},
	"payment-service":      {"payment-events", []string{"order-events"}},
	"inventory-service":    {"inventory-events", []string{"order-events"}},
	"notification-service": {"", []string{"order-events", "payment-events"}},
}

// events is the service's end of Kafka.
type events struct {
	client   *kgo.Client
	service  string
	produces string // name on the brokers; empty for none
	short    map[string]string
	stop     context.CancelFunc
	stopped  chan struct{}
	lock     sync.Mutex
	counts   map[string]int // how often each "topic id" has come
}

// newEvents connects as the environment says, and reads; nil when that says nothing.
func newEvents(s *service) (*events, error) {
	brokers := os.Getenv("KAFKA_BOOTSTRAP_SERVERS")
	role, known := roles[s.name]
	if brokers == "" || !known {
		return nil, nil
	}
	e := &events{service: s.name, short: map[string]string{}, counts: map[string]int{}}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ClientID(s.pod),
		kgo.ConsumerGroup(os.Getenv("KAFKA_GROUP_ID")),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(),
		// No partition goes to another pod between an event and the mark that it is handled.
		kgo.BlockRebalanceOnPoll(),
		// A topic may be made a moment after the first pod that reads it.
		kgo.MetadataMinAge(time.Second),
		kgo.MetadataMaxAge(5 * time.Second),
	}
	for _, topic := range role.consumes {
		name, err := nameOnBrokers(topic)
		if err != nil {
			return nil, err
		}
		e.short[name] = topic
	}
	options = append(options, kgo.ConsumeTopics(slices.Collect(maps.Keys(e.short))...))
	if role.produces != "" {
		name, err := nameOnBrokers(role.produces)
		if err != nil {
			return nil, err
		}
		e.produces = name
	}
	switch protocol := os.Getenv("KAFKA_SECURITY_PROTOCOL"); protocol {
	case "PLAINTEXT":
	case "SASL_PLAINTEXT":
		login := scram.Auth{User: os.Getenv("KAFKA_SASL_USERNAME"), Pass: os.Getenv("KAFKA_SASL_PASSWORD")}
		options = append(options, kgo.SASL(login.AsSha512Mechanism()))
	default:
		return nil, fmt.Errorf("KAFKA_SECURITY_PROTOCOL is %q: only PLAINTEXT and SASL_PLAINTEXT are spoken here", protocol)
	}
	var err error
	if e.client, err = kgo.NewClient(options...); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop, e.stopped = stop, make(chan struct{})
	go e.consume(ctx)
	return e, nil
}

func nameOnBrokers(topic string) (string, error) {
	variable := "KAFKA_TOPIC_" + strings.ToUpper(strings.ReplaceAll(topic, "-", "_"))
	if name := os.Getenv(variable); name != "" {
		return name, nil
	}
	return "", fmt.Errorf("%s is not set: it names the topic %s on the brokers", variable, topic)
}

// close leaves the group when what has begun is handled and noted with the brokers: nothing comes again.
func (e *events) close() {
	if e == nil {
		return
	}
	e.stop()
	<-e.stopped
	if err := e.client.CommitMarkedOffsets(context.Background()); err != nil {
		fmt.Printf("what was handled could not be noted: %v\n", err)
	}
	e.client.CloseAllowingRebalance()
}

// publish returns once the brokers have the event.
func (e *events) publish(ctx context.Context, id string) error {
	if e == nil || e.produces == "" {
		return fmt.Errorf("no topic to produce to")
	}
	record := &kgo.Record{Topic: e.produces, Key: []byte(id), Value: []byte(id)}
	return e.client.ProduceSync(ctx, record).FirstErr()
}

// consume handles every event until ctx ends, and says so: who looks for one reads the log.
func (e *events) consume(ctx context.Context) {
	defer close(e.stopped)
	for ctx.Err() == nil {
		fetches := e.client.PollRecords(ctx, 100)
		if ctx.Err() != nil {
			return
		}
		fetches.EachError(func(topic string, _ int32, err error) { fmt.Printf("reading %s: %v\n", topic, err) })
		for records := fetches.RecordIter(); !records.Done(); {
			// What is not marked comes again, to whoever reads on.
			if !e.handle(ctx, records.Next()) {
				return
			}
		}
		e.client.AllowRebalance()
	}
}

// handle passes an order on to who waits for this service, and says whether it could before ctx ended.
// Only the order starts a chain: what comes after it is the end of one.
func (e *events) handle(ctx context.Context, record *kgo.Record) bool {
	topic, id := e.short[record.Topic], string(record.Value)
	for topic == "order-events" && e.produces != "" {
		// An event that is half sent is sent: given up, it might come twice.
		err := e.publish(context.WithoutCancel(ctx), id)
		if err == nil {
			break
		}
		fmt.Printf("order %s: %v\n", id, err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
	}
	e.lock.Lock()
	e.counts[topic+" "+id]++
	e.lock.Unlock()
	fmt.Printf("handled %s %s\n", topic, id)
	e.client.MarkCommitRecords(record)
	return true
}

func (e *events) seen() map[string]int {
	if e == nil {
		return map[string]int{}
	}
	e.lock.Lock()
	defer e.lock.Unlock()
	return maps.Clone(e.counts)
}
