package election

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/cachenode/cachenode/peer"
)

// world takes what a machine does, and remembers what it sent.
type world struct{ sent []Packet }

func (w *world) send(p Packet, _ []string)       { w.sent = append(w.sent, p) }
func (*world) probe(uint64, bool, time.Duration) {}
func (*world) hold(string) error                 { return nil }
func (*world) announce()                         {}
func (*world) release(string)                    {}
func (*world) stay() error                       { return nil }
func (*world) connections() (int, error)         { return 0, nil }
func (*world) forward(net.HardwareAddr) error    { return nil }

func members(ids ...string) (list []peer.Member) {
	for _, id := range ids {
		list = append(list, peer.Member{ID: id, Name: id, Meta: peer.Meta{Priority: 100}})
	}
	return list
}

// holderOf is the machine of a node that has just become the holder.
func holderOf(t *testing.T, now time.Time, ids ...string) (*machine, *world) {
	t.Helper()
	o := DefaultOptions()
	w := &world{}
	m := newMachine(ids[0], timingOf(&o), w, slog.New(slog.DiscardHandler))
	m.start(now, peer.NewStatic(ids[0], members(ids...)...).View(), Memory{})
	m.startAsk(now)
	for _, id := range ids[1:] {
		m.onPacket(now, Packet{Kind: Grant, Sender: id, Sequence: 1, Echo: m.ask.sequence()})
	}
	m.onProbe(now.Add(m.t.ripe), m.ask.sequence(), Probe{})
	if !m.state.Holds() {
		t.Fatalf("state %v, %v", m.state, m.reason)
	}
	return m, w
}

// Members that join a holder who was alone have not answered it yet.
func TestMembersThatJoinGetTimeToAnswer(t *testing.T) {
	now := time.Unix(1e9, 0)
	m, _ := holderOf(t, now, "a")
	now = now.Add(time.Minute)
	m.onView(now, peer.NewStatic("a", members("a", "b", "c")...).View())
	m.tick(now)
	m.tick(now.Add(m.t.hold))
	if !m.state.Holds() {
		t.Errorf("gave it up: %v", m.reason)
	}
	m.tick(now.Add(m.t.hold + time.Millisecond))
	if m.state.Holds() || m.reason != NoQuorum {
		t.Errorf("holds it without an answer: %v", m.reason)
	}
}

// A node that slept does not take the others for silent.
func TestWokenNodeListensFirst(t *testing.T) {
	now := time.Unix(1e9, 0)
	o := DefaultOptions()
	w := &world{}
	m := newMachine("a", timingOf(&o), w, slog.New(slog.DiscardHandler))
	m.start(now, peer.NewStatic("a", members("a", "b", "c")...).View(), Memory{})
	m.onPacket(now, Packet{Kind: Beat, Term: 1, Sender: "b", Sequence: 1})
	m.wakeAt = m.due(now)
	now = now.Add(10 * time.Second)
	m.wake(now)
	m.tick(now)
	if m.state != Idle {
		t.Fatalf("claims at once: %v", m.state)
	}
	m.onPacket(now, Packet{Kind: Beat, Term: 1, Sender: "b", Sequence: 2})
	m.tick(now.Add(m.t.silence - time.Millisecond))
	if m.state != Idle || m.holder != "b" {
		t.Errorf("state %v, holder %q", m.state, m.holder)
	}
}

// What was heard once is not heard again.
func TestReplays(t *testing.T) {
	now := time.Unix(1e9, 0)
	m, _ := holderOf(t, now, "a", "b")
	p := Packet{Kind: Ack, Term: m.term, Sender: "b", Sequence: 9}
	if !m.onPacket(now, p) || m.onPacket(now, p) {
		t.Error("a packet was taken twice")
	}
	p.Sequence = 8
	if m.onPacket(now, p) {
		t.Error("an older packet was taken")
	}
	if !m.onPacket(now.Add(replayTime), p) {
		t.Error("a member whose clock was set back is not heard again")
	}
	p.Sender = "a"
	if p.Sequence = 10; m.onPacket(now, p) {
		t.Error("a packet of this node's own was taken")
	}
}

// Of two holders in one term, the lower ID keeps the address.
func TestSameTerm(t *testing.T) {
	now := time.Unix(1e9, 0)
	m, w := holderOf(t, now, "b", "c", "d")
	w.sent = nil
	m.onPacket(now, Packet{Kind: Beat, Term: m.term, Sender: "c", Sequence: 5})
	if !m.state.Holds() || len(w.sent) != 1 || w.sent[0].Kind != Stale {
		t.Errorf("state %v, sent %+v", m.state, w.sent)
	}
	m.onPacket(now, Packet{Kind: Beat, Term: m.term, Sender: "a", Sequence: 5})
	if m.state.Holds() || m.holder != "a" {
		t.Errorf("state %v, holder %q", m.state, m.holder)
	}
}
