package http1

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is a snapshot of what a server has done and is doing.
type Stats struct {
	Open       int64             // connections now, tunnels not counted
	Tunnels    int64             // connections now that a handler has taken over
	Accepted   int64             // connections since the start, those turned away not counted
	TurnedAway int64             // connections closed unread for being far too many
	Requests   int64             // heads that were handed on, both lanes
	Short      int64             // of these, answered on the short lane
	Refused    map[string]uint64 // requests refused here, by Fault.Kind
	IdleClosed int64             // connections closed for carrying no request for too long
	BodySlow   int64             // requests whose body did not come, or too slowly
	WriteStuck int64             // connections cut because their client took nothing of a response
	Panics     int64             // requests that ran into a bug
}

// counters count since the start.
type counters struct {
	accepted, turnedAway, idleClosed, bodySlow, writeStuck, panics atomic.Int64
	// of connections that have ended; the others are asked for theirs
	requests, short atomic.Int64

	mu      sync.Mutex // guards refused
	refused map[string]uint64
}

func (c *counters) refuse(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = map[string]uint64{}
	}
	c.refused[kind]++
}

func (c *counters) refusals() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.refused)
}

// State is what a connection is doing.
type State uint32

// The states of a connection.
const (
	StateIdle     State = iota // waiting for a request
	StateHead                  // a head is arriving
	StateBody                  // a request is under way and its body is arriving
	StateResponse              // a request is being answered
	StateTunnel                // a handler has taken the connection over
	StateClosing               // about to be closed, or waiting for its client to close
)

// String returns the name that lists show.
func (s State) String() string {
	names := [...]string{"idle", "head", "body", "response", "tunnel", "closing"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// ConnInfo is one connection as lists show it.
type ConnInfo struct {
	ID            uint64 // counts up from 1
	Client, Local netip.AddrPort
	Since         time.Time
	State         State
	Requests      int64 // so far
	BytesIn       int64 // read from the socket here; a tunnel counts its own
	BytesOut      int64 // written
}
