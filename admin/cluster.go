package admin

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Membership is the cluster as the API shows and changes it.
type Membership interface {
	// Members lists the nodes of the cluster; each that is up is asked how it is.
	Members(ctx context.Context) (Members, error)
	// Join takes the node into another cluster.
	Join(ctx context.Context, j Join) (Members, error)
	// Leave takes it out of the one it is in, for good.
	Leave(ctx context.Context) error
	// Forget has all members forget one that is gone.
	Forget(ctx context.Context, name string) error
}

// Secrets are what lets a node into the cluster.
type Secrets interface {
	// Token is what another node needs to join this one.
	Token() ClusterToken
	// Keys lists the keys that are accepted.
	Keys() []ClusterKey
	// Rotate replaces the key on all members.
	Rotate(ctx context.Context, force bool) (ClusterKey, error)
}

// Members are the nodes of a cluster.
type Members struct {
	Cluster string   `json:"cluster"`
	Members []Member `json:"members"` // by name
}

// Member is one node of the cluster. What a member cannot be asked is null.
type Member struct {
	Name     string     `json:"name"`
	ID       string     `json:"id"`
	Self     bool       `json:"self"`    // the node that answers
	Address  string     `json:"address"` // of its proxy
	Gossip   string     `json:"gossip"`
	ICP      string     `json:"icp,omitempty"`
	State    string     `json:"state"` // alive, draining, left, failed
	Since    time.Time  `json:"since"` // of the state
	VIP      bool       `json:"vip"`   // it holds the virtual IP
	Version  string     `json:"version"`
	Started  *time.Time `json:"started"`
	Priority int        `json:"priority"`
	Capacity uint64     `json:"capacity_bytes"` // of its store
	Objects  *int64     `json:"objects"`
	HitRatio *float64   `json:"hit_ratio"` // of the last 5 minutes, 0 to 1

	Connections *int64 `json:"connections"` // of clients, tunnels included
	Tunnels     *int64 `json:"tunnels"`
	Drain       *Drain `json:"drain"` // null: it does not drain
}

// Join says which cluster to join.
type Join struct {
	Address string `json:"address"` // HOST[:PORT] of a member's gossip
	Token   string `json:"token"`
}

// ClusterToken is the secret that lets a node join.
type ClusterToken struct {
	Token   string `json:"token"`
	Cluster string `json:"cluster"`
	Address string `json:"address"` // to join by
}

// ClusterKey is a key of the cluster.
type ClusterKey struct {
	Fingerprint string `json:"fingerprint"`
	Used        bool   `json:"used"` // else it is only accepted
}

// errStandalone answers calls about a cluster that there is none of.
var errStandalone = &Error{
	Status: http.StatusConflict, Message: "this node runs standalone: it is in no cluster",
	Hint: "start it without --standalone, and without standalone in its configuration",
}

// clusterRoutes are the calls about the cluster.
func (s *Server) clusterRoutes(page func(pattern string, level access, h http.HandlerFunc)) {
	page("GET /api/v1/members", accessControl, s.members)
	page("POST /api/v1/cluster/join", accessControl, s.join)
	page("POST /api/v1/cluster/leave", accessControl, s.leave)
	page("POST /api/v1/cluster/forget", accessControl, s.forget)
	page("POST /api/v1/cluster/token", accessControl, s.token)
	page("GET /api/v1/cluster/keys", accessControl, s.keys)
	page("POST /api/v1/cluster/rotate", accessControl, s.rotate)
}

// respond answers with what a call about the cluster gave.
func respond[T any](w http.ResponseWriter, v T, err error) {
	if err != nil {
		writeError(w, failure(err))
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// withCluster makes the call unless there is no cluster.
func withCluster[T any](s *Server, w http.ResponseWriter, f func() (T, error)) {
	if s.deps.Membership == nil || s.deps.Secrets == nil {
		writeError(w, errStandalone)
		return
	}
	v, err := f()
	respond(w, v, err)
}

func (s *Server) members(w http.ResponseWriter, r *http.Request) {
	withCluster(s, w, func() (Members, error) { return s.deps.Membership.Members(r.Context()) })
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	withCluster(s, w, func() (Members, error) {
		var j Join
		if err := readJSON(r, &j); err != nil || j.Address == "" || j.Token == "" {
			return Members{}, badCall(err, `send {"address":"HOST:PORT","token":"…"}`)
		}
		return s.deps.Membership.Join(r.Context(), j)
	})
}

func (s *Server) leave(w http.ResponseWriter, r *http.Request) {
	withCluster(s, w, func() (struct{}, error) { return struct{}{}, s.deps.Membership.Leave(r.Context()) })
}

func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	withCluster(s, w, func() (struct{}, error) {
		var f forgetCall
		if err := readJSON(r, &f); err != nil || f.Name == "" {
			return struct{}{}, badCall(err, `send {"name":"NODE"}`)
		}
		return struct{}{}, s.deps.Membership.Forget(r.Context(), f.Name)
	})
}

// token is no GET, for addresses that were asked for are remembered in places.
func (s *Server) token(w http.ResponseWriter, _ *http.Request) {
	withCluster(s, w, func() (ClusterToken, error) { return s.deps.Secrets.Token(), nil })
}

func (s *Server) keys(w http.ResponseWriter, _ *http.Request) {
	withCluster(s, w, func() ([]ClusterKey, error) { return list(s.deps.Secrets.Keys()), nil })
}

func (s *Server) rotate(w http.ResponseWriter, r *http.Request) {
	withCluster(s, w, func() (ClusterKey, error) {
		var c rotateCall
		if err := readJSON(r, &c); err != nil {
			return ClusterKey{}, badCall(err, `send {} or {"force":true}`)
		}
		return s.deps.Secrets.Rotate(r.Context(), c.Force)
	})
}

type forgetCall struct {
	Name string `json:"name"`
}

type rotateCall struct {
	Force bool `json:"force"`
}

func badCall(err error, hint string) error {
	if err == nil {
		err = errors.New("something is missing in the call")
	}
	return &Error{Status: http.StatusBadRequest, Message: err.Error(), Hint: hint}
}

// Members lists the nodes of the cluster.
func (c *Client) Members(ctx context.Context) (Members, error) {
	return call[Members](ctx, c, http.MethodGet, "/api/v1/members", nil)
}

// Join takes the node into another cluster.
func (c *Client) Join(ctx context.Context, j Join) (Members, error) {
	return call[Members](ctx, c, http.MethodPost, "/api/v1/cluster/join", j)
}

// Leave takes the node out of its cluster.
func (c *Client) Leave(ctx context.Context) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/api/v1/cluster/leave", struct{}{})
	return err
}

// Forget has all members forget one that is gone.
func (c *Client) Forget(ctx context.Context, name string) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/api/v1/cluster/forget", forgetCall{Name: name})
	return err
}

// JoinToken asks for what another node needs to join.
func (c *Client) JoinToken(ctx context.Context) (ClusterToken, error) {
	return call[ClusterToken](ctx, c, http.MethodPost, "/api/v1/cluster/token", struct{}{})
}

// Keys lists the keys that the cluster accepts.
func (c *Client) Keys(ctx context.Context) ([]ClusterKey, error) {
	return call[[]ClusterKey](ctx, c, http.MethodGet, "/api/v1/cluster/keys", nil)
}

// Rotate replaces the key on all members.
func (c *Client) Rotate(ctx context.Context, force bool) (ClusterKey, error) {
	return call[ClusterKey](ctx, c, http.MethodPost, "/api/v1/cluster/rotate", rotateCall{Force: force})
}
