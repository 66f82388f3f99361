package peer

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
)

// Directory says who is in the cluster. All methods may be called from many
// goroutines.
type Directory interface {
	// View is the membership now; never nil. It costs an atomic load.
	View() *View
	// Watch gives each new view to a channel of capacity 1 in which the latest
	// wins; the view of the moment is in it at once. Stop ends that; the channel
	// is not closed.
	Watch() (views <-chan *View, stop func())
}

// Channel is how members talk to each other: HTTP over TLS on the port of
// gossip, both ends proven by the key of the cluster.
type Channel interface {
	// Call posts body to a path of a member and returns what it answers, at most
	// MaxAnswer bytes. A status other than 2xx is a *CallError. The deadline of
	// ctx bounds it; without one CallTime does.
	Call(ctx context.Context, m *Member, path string, body []byte) ([]byte, error)
	// Handle answers the calls to a path, which begins with a slash; one that
	// ends with a slash takes all below it. Only members come that far.
	Handle(path string, h http.Handler)
}

// board keeps the view in force and tells watchers. The zero value is not
// usable: publish first.
type board struct {
	now atomic.Pointer[View]

	mu       sync.Mutex // guards watchers, and orders publish and Watch
	watchers map[chan *View]struct{}
}

func (b *board) View() *View { return b.now.Load() }

func (b *board) Watch() (<-chan *View, func()) {
	ch := make(chan *View, 1) // latest wins
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers == nil {
		b.watchers = map[chan *View]struct{}{}
	}
	b.watchers[ch] = struct{}{}
	ch <- b.now.Load()
	return ch, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, ch)
	}
}

func (b *board) publish(v *View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Store(v)
	for ch := range b.watchers {
		select {
		case <-ch:
		default:
		}
		ch <- v // there is room: only publish fills it
	}
}
