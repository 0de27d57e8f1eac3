package launcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// object is a JSON object of the Kubernetes API.
type object = map[string]any

// node is what a kubelet registers; kwok adds the conditions. Zones are dealt in turn. The
// size fits thousands of pods with realistic requests: tests leave theirs behind.
func node(index int) object {
	name := fmt.Sprintf("node-%d", index+1)
	size := object{"cpu": "200", "memory": "1Ti", "ephemeral-storage": "10Ti", "pods": "2000"}
	return object{
		"apiVersion": "v1",
		"kind":       "Node",
		"metadata": object{
			"name": name,
			"labels": object{
				"kubernetes.io/arch":               "amd64",
				"kubernetes.io/os":                 "linux",
				"kubernetes.io/hostname":           name,
				"node.kubernetes.io/instance-type": "simulated",
				"topology.kubernetes.io/region":    "local",
				"topology.kubernetes.io/zone":      fmt.Sprintf("zone-%c", 'a'+index%3),
			},
		},
		"status": object{
			// TEST-NET-1: an address that can never be somebody's.
			"addresses": []object{
				{"type": "InternalIP", "address": fmt.Sprintf("192.0.2.%d", index+1)},
				{"type": "Hostname", "address": name},
			},
			"capacity":    size,
			"allocatable": size,
		},
	}
}

func createNodes(ctx context.Context, api *client, count int) error {
	for index := range count {
		err := api.call(ctx, http.MethodPost, "/api/v1/nodes", node(index), nil)
		var refused *refusal
		if errors.As(err, &refused) && refused.code == http.StatusConflict {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// usable says why pods cannot be created and scheduled yet, or nil when they can.
func usable(ctx context.Context, api *client, count int) error {
	var nodes struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct{ Taints []struct{ Key string } }
			Status   struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := api.call(ctx, http.MethodGet, "/api/v1/nodes?resourceVersion=0", nil, &nodes); err != nil {
		return err
	}
	ready := 0
	for _, node := range nodes.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" && len(node.Spec.Taints) == 0 {
				ready++
			}
		}
	}
	if ready < count {
		return fmt.Errorf("%d of %d nodes are ready (by kwok or kubelet; the controller manager takes the taints off)", ready, count)
	}
	if err := api.healthy(ctx, "/api/v1/namespaces/default/serviceaccounts/default"); err != nil {
		return fmt.Errorf("the controller manager has not made the default service account yet: %w", err)
	}
	return nil
}
