package election

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/peer"
)

// onLoopback finds a gossip address whose next port is free too.
func onLoopback(t *testing.T) (netip.AddrPort, *UDP) {
	t.Helper()
	for range 50 {
		probe, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := probe.LocalAddr().(*net.UDPAddr).AddrPort()
		probe.Close()
		if u, err := ListenUDP(t.Context(), at, at); err == nil {
			t.Cleanup(func() { u.Close() })
			return at, u
		}
	}
	t.Fatal("no free port")
	return netip.AddrPort{}, nil
}

// Two elections over real sockets: one holds, and when it stops the other does.
func TestOverUDP(t *testing.T) {
	defer goleak.VerifyNone(t)
	key := testKey(t)
	var members []peer.Member
	var wires []*UDP
	for _, id := range []string{"a", "b"} {
		at, u := onLoopback(t)
		wires = append(wires, u)
		members = append(members, peer.Member{ID: id, Name: id, Gossip: at, Meta: peer.Meta{Priority: 100}})
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	var nodes [2]*Election
	for i, w := range wires {
		nodes[i] = New(DefaultOptions(), Deps{
			Log: slog.New(slog.DiscardHandler), Directory: peer.NewStatic(members[i].ID, members...),
			Address: &Recorder{Lease: 2 * time.Second}, Wire: w, Keys: func() []Key { return []Key{key} },
		})
		go func() { ended <- nodes[i].Run(ctx) }()
	}
	holder := func() int {
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			a, b := nodes[0].Status(), nodes[1].Status()
			if a.State.Holds() != b.State.Holds() && a.Holder == b.Holder && a.Term == b.Term {
				if a.State.Holds() {
					return 0
				}
				return 1
			}
		}
		t.Fatalf("no agreement: %+v, %+v", nodes[0].Status(), nodes[1].Status())
		return 0
	}
	first := holder()
	stray, err := net.Dial("udp", heartbeatPort(members[first].Gossip).String())
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	if _, err := stray.Write([]byte("CNV1 but not from a member")); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); nodes[first].Dropped() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a forged datagram was not counted")
		}
	}
	if err := nodes[first].Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if second := holder(); second == first {
		t.Error("the node that stops still holds")
	}
	cancel()
	for range nodes {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
