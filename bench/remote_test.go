package bench

import (
	"strings"
	"testing"

	"github.com/cachenode/cachenode/bench/origin"
)

// An origin that runs already is asked for its counts, over real sockets.
func TestRemoteOrigin(t *testing.T) {
	s, err := origin.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1) // it ends once
	go func() { served <- s.Serve() }()
	c := small()
	c.Proxy, c.Origin, c.Connections, c.CheckBodies = "", s.Addr().String(), 4, true
	r, err := Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o := r.Origin; !o.Known || o.Requests != c.Requests || o.Full != c.Requests || r.Class(Direct).Requests != c.Requests || len(r.Failures) > 0 {
		t.Errorf("%+v %+v", o, r.Failures)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := Run(t.Context(), c, nil); err == nil || !strings.Contains(HintOf(err), "cachenode bench origin --listen "+c.Origin) {
		t.Errorf("without it: %v", err)
	}
}
