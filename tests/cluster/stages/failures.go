package stages

import "strings"

// failure is what happens to a container whose image tag contains Tag. Messages are kwok
// template expressions: "." is the container (name, image), $pod the pod.
type failure struct {
	Tag         string
	Phase       string // of the pod
	Waiting     string // reason while the container waits; empty when it runs but is not ready
	Message     string // of the waiting state and of the Event
	ExitCode    int    // of the last run, when there was one
	ExitReason  string
	Event       string // reason
	EventPrefix string
}

const podAndUID = "$pod.metadata.name $pod.metadata.namespace $pod.metadata.uid"

// failures are tried in this order where a tag contains several of the words, so a longer word
// comes before its beginning.
var failures = []failure{
	{
		Tag: "missingkey", Phase: "Pending", Waiting: "CreateContainerConfigError", Event: "Failed", EventPrefix: "Error: ",
		Message: "printf `couldn't find key url in Secret %s/%s` $pod.metadata.namespace .name",
	},
	{
		Tag: "missing", Phase: "Pending", Waiting: "ImagePullBackOff", Event: "Failed", EventPrefix: "Error: ImagePullBackOff: ",
		Message: "printf `Back-off pulling image \"%s\": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image \"%s\": failed to resolve reference \"%s\": %s: not found` .image .image .image .image",
	},
	{
		Tag: "rootuser", Phase: "Pending", Waiting: "CreateContainerConfigError", Event: "Failed", EventPrefix: "Error: ",
		Message: "printf `container has runAsNonRoot and image will run as root (pod: \"%s_%s(%s)\", container: %s)` " + podAndUID + " .name",
	},
	crash("crash-137", 137, "OOMKilled"),
	crash("oom", 137, "OOMKilled"),
	crash("crash", 1, "Error"),
	{
		Tag: "unhealthy", Phase: "Running", Event: "Unhealthy",
		// The address is an example: a named port would have to be looked up.
		Message: "printf `Readiness probe failed: Get \"http://%s:3000%s\": dial tcp %s:3000: connect: connection refused` $pod.status.podIP (dig `readinessProbe` `httpGet` `path` `/health` .) $pod.status.podIP",
	},
	{
		Tag: "nohealth", Phase: "Running", Event: "Unhealthy",
		Message: "`Readiness probe failed: HTTP probe failed with statuscode: 404`",
	},
}

func crash(tag string, code int, reason string) failure {
	return failure{
		Tag: tag, Phase: "Running", Waiting: "CrashLoopBackOff", Event: "BackOff",
		Message:  "printf `back-off 40s restarting failed container=%s pod=%s_%s(%s)` .name " + podAndUID,
		ExitCode: code, ExitReason: reason,
	}
}

// tags is a regular expression of all words that make a container deviate.
func tags() string {
	words := []string{"slow"}
	for _, failure := range failures {
		words = append(words, failure.Tag)
	}
	return strings.Join(words, "|")
}
