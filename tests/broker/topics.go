package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const patience = 10 * time.Second

// topics asks the brokers what they have. It goes its own way to them, so it shows what is there and not
// what the operator believes.
func topics(out io.Writer, addresses string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addresses, ",")...))
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := list(ctx, client)
	if err != nil {
		return fmt.Errorf("the brokers at %s do not tell their topics: %w", addresses, err)
	}
	set, err := settings(ctx, client, found)
	if err != nil {
		return fmt.Errorf("the brokers at %s do not tell the configuration of their topics: %w", addresses, err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tPARTITIONS\tREPLICAS\tCONFIGURATION")
	for _, topic := range found {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\n",
			*topic.Topic, len(topic.Partitions), replicas(topic), strings.Join(set[*topic.Topic], " "))
	}
	return table.Flush()
}

// list returns all topics, by name.
func list(ctx context.Context, client *kgo.Client) ([]kmsg.MetadataResponseTopic, error) {
	answer, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client) // no names are all names
	if err != nil {
		return nil, err
	}
	for _, topic := range answer.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(answer.Topics, func(a, b kmsg.MetadataResponseTopic) int {
		return cmp.Compare(*a.Topic, *b.Topic)
	})
	return answer.Topics, nil
}

// settings returns what is set on each topic itself, as key=value, by key.
func settings(
	ctx context.Context, client *kgo.Client, topics []kmsg.MetadataResponseTopic,
) (map[string][]string, error) {
	request := kmsg.NewPtrDescribeConfigsRequest()
	for _, topic := range topics {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType = kmsg.ConfigResourceTypeTopic
		resource.ResourceName = *topic.Topic
		request.Resources = append(request.Resources, resource)
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	set := map[string][]string{}
	for _, resource := range answer.Resources {
		if err := kerr.ErrorForCode(resource.ErrorCode); err != nil {
			return nil, err
		}
		for _, entry := range resource.Configs {
			if entry.Source == kmsg.ConfigSourceDynamicTopicConfig && entry.Value != nil {
				set[resource.ResourceName] = append(set[resource.ResourceName], entry.Name+"="+*entry.Value)
			}
		}
		slices.Sort(set[resource.ResourceName])
	}
	return set, nil
}

// replicas is the smallest number that a partition has.
func replicas(topic kmsg.MetadataResponseTopic) int {
	least := 0
	for index, partition := range topic.Partitions {
		if count := len(partition.Replicas); index == 0 || count < least {
			least = count
		}
	}
	return least
}
