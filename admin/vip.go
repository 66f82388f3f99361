package admin

import (
	"context"
	"net/http"
	"time"
)

// VIP is the virtual IP as the API shows and moves it.
type VIP interface {
	// VIP asks all nodes how they stand to it.
	VIP(ctx context.Context) (VIPStatus, error)
	// MoveVIP hands it to a node by its name, or to the first that is willing if
	// the name is empty.
	MoveVIP(ctx context.Context, node string) (VIPStatus, error)
}

// VIPStatus is the virtual IP and the nodes that may hold it.
type VIPStatus struct {
	Address string    `json:"address"` // with its prefix length
	Port    int       `json:"port"`
	Mode    string    `json:"mode"`
	Holder  string    `json:"holder"` // name; empty: nobody, as far as is known
	Term    uint64    `json:"term"`
	Nodes   []VIPNode `json:"nodes"`
}

// VIPNode is how a node stands to the virtual IP.
type VIPNode struct {
	Name      string `json:"name"`
	Self      bool   `json:"self,omitempty"`
	Answers   bool   `json:"answers"`         // else the rest is not known
	State     string `json:"state,omitempty"` // idle, probing, announcing, holding, yielding
	Reason    string `json:"reason,omitempty"`
	Holder    string `json:"holder,omitempty"` // name, as this node knows
	Term      uint64 `json:"term,omitempty"`
	Voters    int    `json:"voters,omitempty"`
	Interface string `json:"interface,omitempty"`
	Priority  int    `json:"priority"`
	// Transitions is how often the node took it since it started.
	Transitions uint64     `json:"transitions,omitempty"`
	Since       *time.Time `json:"since,omitempty"` // of State
	// Lingering says that the node has handed it over, and has connections at it
	// still.
	Lingering bool `json:"lingering,omitempty"`
}

// ErrNoVIP answers calls about a virtual IP that there is none of.
var ErrNoVIP = &Error{
	Status: http.StatusConflict, Message: "this node has no virtual IP",
	Hint: "give one node --vip ADDRESS/LENGTH, or vip.address in its configuration; the others learn it",
}

type moveCall struct {
	Node string `json:"node"`
}

// vipRoutes are the calls about the virtual IP.
func (s *Server) vipRoutes(page func(pattern string, level access, h http.HandlerFunc)) {
	page("GET /api/v1/vip", accessControl, s.vip)
	page("POST /api/v1/vip/move", accessControl, s.moveVIP)
}

func (s *Server) vip(w http.ResponseWriter, r *http.Request) {
	if s.deps.VIP == nil {
		writeError(w, ErrNoVIP)
		return
	}
	st, err := s.deps.VIP.VIP(r.Context())
	respond(w, st, err)
}

func (s *Server) moveVIP(w http.ResponseWriter, r *http.Request) {
	var m moveCall
	if err := readJSON(r, &m); err != nil {
		writeError(w, failure(badCall(err, `send {"node":"NAME"} or {}`)))
		return
	}
	if s.deps.VIP == nil {
		writeError(w, ErrNoVIP)
		return
	}
	st, err := s.deps.VIP.MoveVIP(r.Context(), m.Node)
	respond(w, st, err)
}

// VIP asks how the nodes stand to the virtual IP.
func (c *Client) VIP(ctx context.Context) (VIPStatus, error) {
	return call[VIPStatus](ctx, c, http.MethodGet, "/api/v1/vip", nil)
}

// MoveVIP hands the virtual IP to a node; empty: to any other.
func (c *Client) MoveVIP(ctx context.Context, node string) (VIPStatus, error) {
	return call[VIPStatus](ctx, c, http.MethodPost, "/api/v1/vip/move", moveCall{Node: node})
}
