package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/peer"
)

var addresses atomic.Uint32

// inCluster are the options of a node that takes part in a cluster, on an
// address of its own.
func inCluster(t *testing.T, name string) Options {
	t.Helper()
	o := options(t)
	o.Name, o.Standalone = name, false
	o.Cluster.Bind, o.Cluster.Port = fmt.Sprintf("127.201.1.%d", addresses.Add(1)), 0
	o.Listen = []string{o.Cluster.Bind + ":0"}
	return o
}

func (r *running) client(t *testing.T) *admin.Client {
	t.Helper()
	c, err := admin.DialDir(t.Context(), r.Options().Data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// become waits until a node sees its members so.
func (r *running) become(want string) {
	r.t.Helper()
	got := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var parts []string
		for _, m := range r.Cluster().View().Members {
			parts = append(parts, m.Name+" "+m.State.String())
		}
		if got = strings.Join(parts, ", "); got == want {
			return
		}
	}
	r.t.Fatalf("%s sees %s, want %s", r.Options().Name, got, want)
}

// Nodes in one process join, leave and end without a trace (goleak looks).
func TestNodesInOneProcessFormACluster(t *testing.T) {
	a, b := start(t, inCluster(t, "a"), Deps{Version: "1"}), start(t, inCluster(t, "b"), Deps{Version: "2"})
	tok, err := a.client(t).JoinToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	members, err := b.client(t).Join(t.Context(), admin.Join{Address: tok.Address, Token: tok.Token})
	if err != nil {
		t.Fatal(err)
	}
	if len(members.Members) != 2 || members.Cluster != tok.Cluster {
		t.Errorf("members %+v", members)
	}
	a.become("a alive, b alive")
	list, err := a.client(t).Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := list.Members[1]
	if other.Objects == nil || other.Version != "2" || other.Address != b.Addrs()[0].String() || other.Self || !list.Members[0].Self {
		t.Errorf("as a sees b: %+v", other)
	}
	st, err := a.client(t).Status(t.Context())
	if err != nil || st.Cluster == nil || st.Cluster.Nodes["alive"] != 2 {
		t.Errorf("status %+v, %v", st.Cluster, err)
	}
	if err := b.client(t).Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.become("a alive, b left")
	b.become("b alive")
}

func TestStandaloneNodeHasNoCluster(t *testing.T) {
	n := start(t, options(t), Deps{})
	_, err := n.client(t).Members(t.Context())
	if err == nil || !strings.Contains(err.Error(), "standalone") {
		t.Errorf("members: %v", err)
	}
	if _, ok, err := peer.LoadIdentity(n.Options().Data); ok || err != nil {
		t.Errorf("it has an identity: %v %v", ok, err)
	}
}

func TestTakenGossipPortIsAFault(t *testing.T) {
	first := start(t, inCluster(t, "a"), Deps{})
	o := inCluster(t, "b")
	o.Cluster.Port = int(first.Cluster().Bound().Port())
	o.Cluster.Bind = first.Cluster().Bound().Addr().String()
	_, err := New(t.Context(), o, Deps{Log: first.Node.log})
	if err == nil || !strings.Contains(err.Error(), "the port is in use") || !strings.Contains(HintOf(err), "--standalone") {
		t.Errorf("%v; %s", err, HintOf(err))
	}
}

// A damaged identity stops the node: a new one would cut it off in silence.
func TestDamagedIdentityIsAFault(t *testing.T) {
	o := inCluster(t, "a")
	if err := os.WriteFile(filepath.Join(o.Data, peer.IdentityName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(context.Background(), o, Deps{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !IsConfig(err) || !strings.Contains(err.Error(), peer.IdentityName) || !strings.Contains(HintOf(err), "join again") {
		t.Errorf("%v; %s", err, HintOf(err))
	}
}

func TestDamagedTokenIsAFault(t *testing.T) {
	o := inCluster(t, "a")
	path := filepath.Join(o.Data, admin.TokenName)
	if err := os.WriteFile(path, []byte("\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(context.Background(), o, Deps{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !IsConfig(err) || HintOf(err) != "delete "+path+" to get a new one" {
		t.Errorf("%v; %s", err, HintOf(err))
	}
}
