package admin

import (
	"context"
	"net/http"
	"time"
)

// FrontDoor is the balancer behind the virtual IP as this node runs it.
type FrontDoor struct {
	Node    string          `json:"node"`
	Address string          `json:"address,omitempty"` // where clients come to; empty: nowhere yet
	Holder  bool            `json:"holder"`            // this node has the virtual IP
	Balance string          `json:"balance"`
	Front   FrontDoorLine   `json:"front"`
	Nodes   []FrontDoorLine `json:"nodes"`
	Total   FrontDoorLine   `json:"total"` // of the nodes
	// Reasons say how often a connection went where, or nowhere, for what.
	Reasons map[string]int64 `json:"reasons"`
}

// FrontDoorLine is the front door as a whole, a node behind it, or all of those.
// What a kind of line does not have is zero.
type FrontDoorLine struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"`
	Status  string `json:"status"` // UP, DOWN, DRAIN, NOLB; of the front OPEN
	Weight  int    `json:"weight,omitempty"`
	// Throttle is how much of its weight a node has while it starts slowly, in
	// percent; 0: all of it.
	Throttle int `json:"throttle,omitempty"`

	Queued        int64  `json:"queued"` // connections that wait for a place
	MaxQueued     int64  `json:"max_queued"`
	QueueLimit    int64  `json:"queue_limit"`
	Sessions      int64  `json:"sessions"` // connections now
	MaxSessions   int64  `json:"max_sessions"`
	SessionLimit  int64  `json:"session_limit"` // 0: none
	TotalSessions uint64 `json:"total_sessions"`
	BytesIn       uint64 `json:"bytes_in"`  // from clients
	BytesOut      uint64 `json:"bytes_out"` // to clients
	Denied        uint64 `json:"denied"`    // connections refused for a limit
	ConnectErrors uint64 `json:"connect_errors"`
	Redispatches  uint64 `json:"redispatches"` // of these connections, that went on to another node
	Aborted       uint64 `json:"aborted"`      // connections that ended by a reset or an error
	Picked        uint64 `json:"picked"`       // times a node was chosen
	Rate          int64  `json:"rate"`         // connections in the last second
	MaxRate       int64  `json:"max_rate"`

	CheckFailures uint64        `json:"check_failures"`
	Downs         uint64        `json:"downs"`          // times it went down
	LastChange    time.Duration `json:"last_change_ns"` // ago
	Downtime      time.Duration `json:"downtime_ns"`    // in all
	CheckStatus   string        `json:"check_status,omitempty"`
	CheckCode     int           `json:"check_code,omitempty"` // HTTP status
	CheckDuration time.Duration `json:"check_duration_ns,omitempty"`
}

// ErrNoFrontDoor answers calls about a front door that there is none of.
var ErrNoFrontDoor = &Error{Status: http.StatusConflict, Message: "this node has no front door"}

func (s *Server) frontDoorRoutes(page func(pattern string, level access, h http.HandlerFunc)) {
	page("GET /api/v1/frontdoor", accessControl, s.frontDoor)
	page("GET /stats", accessNumbers, s.frontDoorPage)
	page("GET /stats;csv", accessNumbers, s.frontDoorCSV)
}

func (s *Server) frontDoor(w http.ResponseWriter, _ *http.Request) {
	if s.deps.FrontDoor == nil {
		writeError(w, ErrNoFrontDoor)
		return
	}
	respond(w, s.deps.FrontDoor(), nil)
}

// FrontDoor asks how the front door of the node stands.
func (c *Client) FrontDoor(ctx context.Context) (FrontDoor, error) {
	return call[FrontDoor](ctx, c, http.MethodGet, "/api/v1/frontdoor", nil)
}
