package launcher

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// client speaks JSON to the API server, or to etcd's HTTP gateway when it has no token. A
// client library would do no more here.
type client struct {
	url   string
	token string
	http  *http.Client
}

func newClient(url, token string) (*client, error) {
	transport := &http.Transport{}
	if token != "" {
		ca, err := os.ReadFile(config("ca.crt"))
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &client{url, token, &http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

// call sends a request and decodes the answer into out, which may be nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "cluster-launcher")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return &refusal{response.StatusCode, fmt.Sprintf("%s %s: %s: %.300s", method, path, response.Status, text)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

// healthy asks an endpoint that answers 200 when all is well.
func (c *client) healthy(ctx context.Context, path string) error {
	return c.call(ctx, http.MethodGet, path, nil, nil)
}

// compact makes etcd forget everything before its current revision and returns that revision.
func (c *client) compact(ctx context.Context) (string, error) {
	var current struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	// Any read tells the revision; this one asks for the key "\0", which nobody has.
	if err := c.call(ctx, http.MethodPost, "/v3/kv/range", map[string]any{"key": "AA=="}, &current); err != nil {
		return "", err
	}
	revision := current.Header.Revision
	return revision, c.call(ctx, http.MethodPost, "/v3/kv/compaction", map[string]any{"revision": revision, "physical": true}, nil)
}
