package peer

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"time"
)

// The versions of what members say to each other that this one understands.
// The lowest rises only when a release can no longer work beside those before.
const (
	protoMin = 1
	protoMax = 1
)

// maxSkew is how far the clock of a node that joins may be off.
const maxSkew = time.Minute

const pathHello = "/hello"

// hello is what a node says before it joins; gossip itself would not tell it
// why it is refused.
type hello struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Gossip   netip.AddrPort `json:"gossip"`
	Version  string         `json:"version"`
	ProtoMin int            `json:"proto_min"`
	ProtoMax int            `json:"proto_max"`
}

// helloAnswer is what it hears.
type helloAnswer struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	ProtoMin int       `json:"proto_min"`
	ProtoMax int       `json:"proto_max"`
	Time     time.Time `json:"time"`
	// Taken says which of the caller's names another member has: "", "name" or
	// "id".
	Taken  string         `json:"taken,omitempty"`
	Holder string         `json:"holder,omitempty"` // its name
	At     netip.AddrPort `json:"at,omitzero"`      // its gossip
}

// answerHello says who we are, and whether the caller may join.
func (c *Cluster) answerHello(ctx context.Context, _ string, h hello) (helloAnswer, error) {
	c.mu.Lock()
	me := c.card
	c.mu.Unlock()
	a := helloAnswer{ID: c.id, Name: me.Name, Version: me.Version, ProtoMin: protoMin, ProtoMax: protoMax, Time: time.Now()}
	v := c.View()
	if m := v.ByID(h.ID); m != nil && m.State.Up() && m.Gossip != h.Gossip && c.answers(ctx, m) {
		a.Taken, a.Holder, a.At = "id", m.Name, m.Gossip
		return a, nil
	}
	if m := v.ByName(h.Name); m != nil && m.State.Up() && m.ID != h.ID {
		a.Taken, a.Holder, a.At = "name", m.Name, m.Gossip
	}
	return a, nil
}

// answers asks a member whether it is there: gossip may not have noticed yet
// that it has moved.
func (c *Cluster) answers(ctx context.Context, m *Member) bool {
	if m.ID == c.id {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	a, err := c.greet(ctx, m.Gossip, c.client)
	return err == nil && a.ID == m.ID
}

// greet says hello to whoever is at an address.
func (c *Cluster) greet(ctx context.Context, to netip.AddrPort, via http.RoundTripper) (a helloAnswer, err error) {
	c.mu.Lock()
	h := hello{ID: c.id, Name: c.card.Name, Gossip: c.own, Version: c.card.Version, ProtoMin: protoMin, ProtoMax: protoMax}
	c.mu.Unlock()
	return greet(ctx, h, func(ctx context.Context, body []byte) ([]byte, error) {
		return c.post(ctx, via, to, pathHello, body)
	})
}

func greet(ctx context.Context, h hello, post func(context.Context, []byte) ([]byte, error)) (a helloAnswer, err error) {
	body, err := json.Marshal(h)
	if err != nil {
		return a, err
	}
	b, err := post(ctx, body)
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	return a, err
}

// judge says why a node that said h at sent, and heard a at got, must not join;
// nil when it may.
func (a *helloAnswer) judge(h hello, at netip.AddrPort, sent, got time.Time) error {
	e := &JoinError{Addr: at.String(), Member: cmp.Or(printable([]byte(a.Name)), at.String())}
	switch skew := a.Time.Sub(sent.Add(got.Sub(sent) / 2)); {
	case a.ProtoMax < h.ProtoMin || a.ProtoMin > h.ProtoMax:
		e.Kind = JoinVersion
		e.Detail = printable([]byte(a.Version))
	case a.ID == h.ID:
		e.Kind = JoinSelf
	case a.Taken == "id":
		e.Kind, e.Member, e.Addr = JoinIDTaken, printable([]byte(a.Holder)), a.At.String()
	case a.Taken == "name":
		e.Kind, e.Member, e.Addr, e.Detail = JoinNameTaken, printable([]byte(a.Holder)), a.At.String(), h.Name
	case skew.Abs() > maxSkew:
		e.Kind, e.Detail, e.Behind = JoinClock, skew.Abs().Round(time.Second).String(), skew > 0
	default:
		return nil
	}
	return e
}
