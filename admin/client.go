package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// maxAnswer bounds what a client reads.
const maxAnswer = 64 << 20

// Client calls the API of a node. The ctx of each call bounds it.
type Client struct {
	base  string
	token string
	where string // the node as the user named it
	dir   string // the data directory, empty over TCP
	http  *http.Client
}

// DialDir returns a client for the node whose data directory is dir. The error
// says when none runs there.
func DialDir(ctx context.Context, dir string) (*Client, error) {
	c := &Client{base: "http://localhost", where: dir, dir: dir}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, dir) },
	}}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := dialSocket(ctx, dir)
	if err != nil {
		return nil, c.explain(err)
	}
	return c, conn.Close()
}

// DialURL returns a client for the admin address base, such as
// http://127.0.0.1:3180. The token is that of the node's admin.token. Nothing
// is sent yet.
func DialURL(base, token string) (*Client, error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not an admin address: write it like http://127.0.0.1:3180", base)
	}
	c := &Client{base: strings.TrimSuffix(base, "/"), token: token, where: base}
	c.http = &http.Client{
		// A proxy from the environment may be this very node.
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, TLSHandshakeTimeout: dialTime},
		// A redirect would take the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// ErrNotRunning means that no node answers where the client looked.
var ErrNotRunning = errors.New("no node is running")

// explain says what a failed connection means and what to do.
func (c *Client) explain(err error) error {
	start := "start one with 'cachenode run'"
	switch {
	case c.dir != "" && errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w in %s (no %s): %s", ErrNotRunning, c.where, SocketName, start)
	case c.dir != "" && errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w in %s (%s is left over from one that ended): %s", ErrNotRunning, c.where, SocketName, start)
	case c.dir != "" && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the node in %s may not be asked by this user (%s: permission denied): use its user or group, or sudo", c.where, SocketName)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s (connection refused): %s, or correct the address", ErrNotRunning, c.where, start)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the node at %s does not answer: %w", c.where, context.DeadlineExceeded)
	}
	return fmt.Errorf("ask the node at %s: %w", c.where, err)
}

// Close lets go of the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks for the state of the node.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/api/v1/status", nil)
}

// Config asks for the effective configuration, as YAML with secrets redacted.
func (c *Client) Config(ctx context.Context) ([]byte, error) {
	return c.roundTrip(ctx, http.MethodGet, "/api/v1/config", nil)
}

// Purge removes stored objects.
func (c *Client) Purge(ctx context.Context, p Purge) (PurgeResult, error) {
	if err := p.Validate(); err != nil {
		return PurgeResult{}, err
	}
	return call[PurgeResult](ctx, c, http.MethodPost, "/api/v1/purge", p)
}

// Reload has the node read its configuration file anew.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	return call[ReloadResult](ctx, c, http.MethodPost, "/api/v1/reload", nil)
}

// Connections lists the open client connections and tunnels.
func (c *Client) Connections(ctx context.Context) ([]Connection, error) {
	return call[[]Connection](ctx, c, http.MethodGet, "/api/v1/connections", nil)
}

// Requests lists the requests being served.
func (c *Client) Requests(ctx context.Context) ([]Request, error) {
	return call[[]Request](ctx, c, http.MethodGet, "/api/v1/requests", nil)
}

// call makes one call with JSON both ways.
func call[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	b, err := c.roundTrip(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return out, fmt.Errorf("ask the node at %s: %s is answered with something else than JSON: %w", c.where, path, err)
	}
	return out, nil
}

func (c *Client) roundTrip(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, c.explain(err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, c.answerError(res.StatusCode, b)
	}
	return b, nil
}

// answerError reads an answer that is not 200; the error is an *Error.
func (c *Client) answerError(status int, body []byte) error {
	e := &Error{Status: status}
	if json.Unmarshal(body, e) != nil || e.Message == "" {
		e.Message = fmt.Sprintf("%s answers %d %s", c.where, status, cmp.Or(http.StatusText(status), "(unknown status)"))
		e.Hint = "is this the admin address of a node?"
	}
	return e
}
