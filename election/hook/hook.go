// Package hook tells programs, web servers, the system log and mailboxes that
// the virtual IP came or went. It never keeps the election waiting: what cannot
// be told in time is dropped, and logged.
package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cachenode/cachenode/election"
)

// Change is what a hook is told.
type Change struct {
	Time   time.Time `json:"time"`
	Event  string    `json:"event"` // acquired or lost
	Node   string    `json:"node"`
	VIP    string    `json:"vip"`
	Term   uint64    `json:"term"`
	Reason string    `json:"reason"`
}

func (c *Change) String() string {
	return fmt.Sprintf("virtual IP %s %s by %s, term %d: %s", c.VIP, c.Event, c.Node, c.Term, c.Reason)
}

// Runner tells a list of hooks, one change after the other.
type Runner struct {
	hooks   []election.Hook
	log     *slog.Logger
	changes chan Change
}

// queued is how many changes may wait for slow hooks.
const queued = 32

// defaultTimeout bounds a call whose hook does not say.
const defaultTimeout = 10 * time.Second

// New returns a runner that waits for Run.
func New(hooks []election.Hook, log *slog.Logger) *Runner {
	return &Runner{hooks: hooks, log: log, changes: make(chan Change, queued)}
}

// Tell queues a change. It does not block.
func (r *Runner) Tell(c Change) {
	if len(r.hooks) == 0 {
		return
	}
	select {
	case r.changes <- c:
	default:
		r.log.Warn("hooks are too slow: nobody is told of a change of the virtual ip", "event", c.Event, "term", c.Term)
	}
}

// Run calls the hooks until ctx ends; those that wait then are called still,
// each within its time.
func (r *Runner) Run(ctx context.Context) error {
	for {
		select {
		case c := <-r.changes:
			r.call(c)
		case <-ctx.Done():
			for {
				select {
				case c := <-r.changes:
					r.call(c)
				default:
					return ctx.Err()
				}
			}
		}
	}
}

// call calls all hooks at the same time, so that a slow one does not delay the
// others.
func (r *Runner) call(c Change) {
	done := make(chan struct{}, len(r.hooks)) // each sends once
	for i := range r.hooks {
		go func() {
			defer func() { done <- struct{}{} }()
			h := &r.hooks[i]
			timeout := h.Timeout.D()
			if timeout == 0 {
				timeout = defaultTimeout
			}
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			if err := call(ctx, h, c); err != nil {
				r.log.Warn("hook of the virtual ip", "event", c.Event, "error", err)
			}
		}()
	}
	for range r.hooks {
		<-done
	}
}

func call(ctx context.Context, h *election.Hook, c Change) error {
	switch {
	case len(h.Exec) > 0:
		return runProgram(ctx, h.Exec, c)
	case h.Webhook != "":
		return post(ctx, h.Webhook, c)
	case h.Syslog != "":
		return writeSyslog(ctx, h.Syslog, c)
	}
	return sendMail(ctx, &h.Mail, c)
}

func runProgram(ctx context.Context, args []string, c Change) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(),
		"CACHENODE_EVENT="+c.Event, "CACHENODE_NODE="+c.Node, "CACHENODE_VIP="+c.VIP,
		fmt.Sprintf("CACHENODE_TERM=%d", c.Term), "CACHENODE_REASON="+c.Reason)
	cmd.WaitDelay = time.Second // its children may keep its output open
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w: %s", args[0], err, bytes.TrimSpace(out[:min(len(out), 200)]))
	}
	return nil
}

func post(ctx context.Context, url string, c Change) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	// The environment's proxy may be this very cluster.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("post to %s: %s", req.URL.Redacted(), resp.Status)
	}
	return nil
}

// daemonNotice is facility daemon, severity notice.
const daemonNotice = 3<<3 | 5

// writeSyslog writes a line in the form that local daemons read (RFC 3164), or
// that of RFC 5424 to a remote one.
func writeSyslog(ctx context.Context, to string, c Change) error {
	var d net.Dialer
	network, line := "udp", fmt.Sprintf("<%d>1 %s %s cachenode %d vip - %s", daemonNotice, c.Time.Format(time.RFC3339), word(c.Node), os.Getpid(), c.String())
	if filepath.IsAbs(to) {
		network, line = "unixgram", fmt.Sprintf("<%d>%s cachenode[%d]: %s", daemonNotice, c.Time.Format(time.Stamp), os.Getpid(), c.String())
	}
	conn, err := d.DialContext(ctx, network, to)
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte(line))
	return errors.Join(err, conn.Close())
}

// word is s fit for a field of a header.
func word(s string) string {
	if s = strings.Join(strings.Fields(s), "-"); s == "" {
		return "-"
	}
	return s
}
