package peer

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// stay is the time a node spends in one cluster: an instance of memberlist on a link.
type stay struct {
	id     Identity
	list   *memberlist.Memberlist
	keys   *memberlist.Keyring
	link   *link
	events *events
}

// timing of failure detection: a dead member is found out within 1.5 s.
const (
	probeEvery   = 200 * time.Millisecond
	probeTimeout = 100 * time.Millisecond
	gossipEvery  = 50 * time.Millisecond
	syncEvery    = 15 * time.Second // whole state, with one member
	streamTime   = 2 * time.Second
	deadKept     = 30 * time.Second // how long memberlist remembers the dead
)

// startStay brings a node into gossip. It knows no others yet.
func (c *Cluster) startStay(id Identity) (*stay, error) {
	s := &stay{id: id, link: newLink(c.wire, c.own), events: newEvents()}
	var err error
	if s.keys, err = memberlist.NewKeyring(rawKeys(id.Keys), id.Keys[0][:]); err != nil {
		return nil, fmt.Errorf("set the cluster's keys: %w", err)
	}
	m := memberlist.DefaultLANConfig()
	m.Name, m.Label = c.id, id.Name
	m.Keyring = s.keys
	m.Transport = s.link
	m.BindAddr, m.BindPort = c.own.Addr().String(), int(c.own.Port())
	m.AdvertiseAddr, m.AdvertisePort = m.BindAddr, m.BindPort
	m.Delegate, m.Events, m.Conflict = (*teller)(c), s.events, s.events
	m.LogOutput = &gossipLog{log: c.log}
	tune(m)
	c.wire.link.Store(s.link)
	if s.list, err = memberlist.Create(m); err != nil {
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	return s, nil
}

func tune(m *memberlist.Config) {
	m.ProbeInterval, m.ProbeTimeout = probeEvery, probeTimeout
	m.SuspicionMult, m.SuspicionMaxTimeoutMult = 3, 2
	m.GossipInterval = gossipEvery
	m.PushPullInterval = syncEvery
	m.TCPTimeout = streamTime
	m.GossipToTheDeadTime = deadKept
	m.DeadNodeReclaimTime = time.Millisecond // a dead node may return at another address at once
	m.UDPBufferSize = 1400 - frameOverhead
	m.HandoffQueueDepth = 4096
}

// stop ends the stay without a good-bye.
func (s *stay) stop() { _ = s.list.Shutdown() } // never fails in this version

func rawKeys(keys []Key) [][]byte {
	raw := make([][]byte, len(keys))
	for i := range keys {
		raw[i] = bytes.Clone(keys[i][:])
	}
	return raw
}

// teller is what memberlist asks for this node's own words.
type teller Cluster

// NodeMeta implements memberlist.Delegate.
func (t *teller) NodeMeta(int) []byte {
	c := (*Cluster)(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(encodeCard(&c.card), c.later...)
}

// NotifyMsg implements memberlist.Delegate; members send no such messages.
func (*teller) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (*teller) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (*teller) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (*teller) MergeRemoteState([]byte, bool) {}

// gossipLog takes memberlist's log to ours. What matters is reported by this
// package in its own words, so that all of it is for debugging.
type gossipLog struct{ log *slog.Logger }

func (g *gossipLog) Write(b []byte) (int, error) {
	line := strings.TrimSpace(string(b))
	if _, after, ok := strings.Cut(line, "] memberlist: "); ok {
		line = after
	}
	g.log.Debug("memberlist", "said", line)
	return len(b), nil
}

// join exchanges the whole state with the member at an address.
func (s *stay) join(a netip.AddrPort) error {
	_, err := s.list.Join([]string{a.String()})
	return err
}
