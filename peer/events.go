package peer

import (
	"net/netip"
	"sync"

	"github.com/hashicorp/memberlist"
)

// event is what memberlist said of a node.
type event struct {
	kind   eventKind
	id     string
	gossip netip.AddrPort
	meta   []byte
}

type eventKind uint8

const (
	eventUp eventKind = iota + 1 // it is there, or tells something new of itself
	eventDown
	eventMoved // it says that it is at another address
)

// events takes what memberlist says to the goroutine that owns the roster.
// memberlist calls with its own lock held: nothing here calls it back or waits.
type events struct {
	signal chan struct{} // of capacity 1: there is something to take

	mu   sync.Mutex // guards list
	list []event
}

func newEvents() *events { return &events{signal: make(chan struct{}, 1)} }

func (e *events) put(kind eventKind, n *memberlist.Node) {
	addr, _ := netip.AddrFromSlice(n.Addr) // invalid when it is none
	ev := event{
		kind: kind, id: n.Name, gossip: netip.AddrPortFrom(addr.Unmap(), n.Port), meta: append([]byte(nil), n.Meta...),
	}
	e.mu.Lock()
	e.list = append(e.list, ev)
	e.mu.Unlock()
	select {
	case e.signal <- struct{}{}:
	default:
	}
}

// take returns what has come, in its order.
func (e *events) take() []event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

// NotifyJoin implements memberlist.EventDelegate.
func (e *events) NotifyJoin(n *memberlist.Node) { e.put(eventUp, n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (e *events) NotifyUpdate(n *memberlist.Node) { e.put(eventUp, n) }

// NotifyLeave implements memberlist.EventDelegate.
func (e *events) NotifyLeave(n *memberlist.Node) { e.put(eventDown, n) }

// NotifyConflict implements memberlist.ConflictDelegate.
func (e *events) NotifyConflict(_, other *memberlist.Node) { e.put(eventMoved, other) }
