package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Drains takes nodes of the cluster out of service and back. A node is named by
// its name or ID; empty is the one that is asked.
type Drains interface {
	// Drain begins a drain, or changes one that is under way. It returns as soon as
	// the node drains.
	Drain(ctx context.Context, node string, o DrainOrder) (Drain, error)
	// Undrain takes a drain back.
	Undrain(ctx context.Context, node string) (Drain, error)
	// DrainStatus is how the node's drain goes.
	DrainStatus(ctx context.Context, node string) (Drain, error)
}

// DefaultDrain is how long a drain waits when nothing else is said.
const DefaultDrain = 10 * time.Minute

// maxDrain is the longest deadline; who wants more wants none.
const maxDrain = 365 * 24 * time.Hour

// DrainOrder says how to drain. Of a drain that is under way only what is said
// changes.
type DrainOrder struct {
	// Seconds is how long what is under way may take before it is cut; 0 is
	// DefaultDrain, for a drain under way its own deadline.
	Seconds    float64 `json:"deadline_seconds,omitempty"`
	NoDeadline bool    `json:"no_deadline,omitempty"` // nothing is ever cut
	Force      bool    `json:"force,omitempty"`       // everything is cut at once
	Message    string  `json:"message,omitempty"`     // why, for those who look
}

// maxMessage bounds DrainOrder.Message, in bytes.
const maxMessage = 500

// Validate reports what does not go together.
func (o DrainOrder) Validate() error {
	n := 0
	for _, set := range []bool{o.Seconds != 0, o.NoDeadline, o.Force} {
		if set {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New("want one of a deadline, no deadline and force")
	case o.Seconds < 0 || o.Seconds > maxDrain.Seconds():
		return errors.New("the deadline must be more than 0 and at most a year")
	case len(o.Message) > maxMessage:
		return fmt.Errorf("the message has more than %d bytes", maxMessage)
	}
	return nil
}

// Expressly reports whether the order says something about the deadline.
func (o DrainOrder) Expressly() bool { return o.Seconds != 0 || o.NoDeadline || o.Force }

// Drain is how the drain of a node goes.
type Drain struct {
	Node    string     `json:"node"`
	State   string     `json:"state"` // starting, serving, draining, drained, stopping
	Message string     `json:"message,omitempty"`
	Began   *time.Time `json:"began"` // null: it serves
	// SecondsLeft until what is under way is cut; null: that never happens.
	SecondsLeft *float64 `json:"seconds_left"`
	Connections int64    `json:"connections"` // of clients, tunnels included
	Tunnels     int64    `json:"tunnels"`
	// VIP is what became of the virtual IP that the node held: "", it held none;
	// "held", it still does; else the node that holds it now, "nobody" for none.
	VIP     string `json:"vip,omitempty"`
	Cut     int64  `json:"cut"`              // connections that were cut at the deadline
	Forced  bool   `json:"forced,omitempty"` // the deadline was a command
	Already bool   `json:"already"`          // it was so before the call
}

var errNoDrains = &Error{Status: http.StatusConflict, Message: "this node cannot be drained"}

// drainRoutes are the calls about drains.
func (s *Server) drainRoutes(page func(pattern string, level access, h http.HandlerFunc)) {
	page("GET /api/v1/drain", accessControl, s.drain)
	page("POST /api/v1/drain", accessControl, s.drain)
	page("DELETE /api/v1/drain", accessControl, s.drain)
}

func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	d, err := s.drained(r)
	respond(w, d, err)
}

func (s *Server) drained(r *http.Request) (Drain, error) {
	all, node := s.deps.Drains, r.URL.Query().Get("node")
	if all == nil {
		return Drain{}, errNoDrains
	}
	switch r.Method {
	case http.MethodPost:
		var o DrainOrder
		err := readJSON(r, &o)
		if err == nil {
			err = o.Validate()
		}
		if err != nil {
			return Drain{}, badCall(err, `send {}, {"deadline_seconds":600}, {"no_deadline":true} or {"force":true}`)
		}
		return all.Drain(r.Context(), node, o)
	case http.MethodDelete:
		return all.Undrain(r.Context(), node)
	}
	return all.DrainStatus(r.Context(), node)
}

func drainPath(node string) string {
	return "/api/v1/drain?" + url.Values{"node": {node}}.Encode()
}

// Drain begins a drain of a node; empty: of the one that is asked.
func (c *Client) Drain(ctx context.Context, node string, o DrainOrder) (Drain, error) {
	return call[Drain](ctx, c, http.MethodPost, drainPath(node), o)
}

// Undrain takes a drain back.
func (c *Client) Undrain(ctx context.Context, node string) (Drain, error) {
	return call[Drain](ctx, c, http.MethodDelete, drainPath(node), nil)
}

// DrainStatus asks how the drain of a node goes.
func (c *Client) DrainStatus(ctx context.Context, node string) (Drain, error) {
	return call[Drain](ctx, c, http.MethodGet, drainPath(node), nil)
}
