package dns

import (
	"net/netip"
	"sync"
	"time"
)

// avoidServer is how long a server that failed or was overtaken is asked after
// the others.
const avoidServer = 30 * time.Second

// health remembers which servers to ask first.
type health struct {
	mu    sync.Mutex // guards avoid and turn
	avoid map[netip.AddrPort]time.Time
	turn  int
}

// order returns the servers in the order of the configuration, or in turn if
// that says so, those to avoid last.
func (h *health) order(conf *config, now time.Time) []netip.AddrPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	n, first := len(conf.servers), 0
	if conf.rotate {
		h.turn++
		first = h.turn
	}
	good := make([]netip.AddrPort, 0, n)
	var bad []netip.AddrPort
	for i := range n {
		s := conf.servers[(first+i)%n]
		if now.Before(h.avoid[s]) {
			bad = append(bad, s)
		} else {
			good = append(good, s)
		}
	}
	return append(good, bad...)
}

// note records that the winner's attempt answered, and that the servers asked
// before it did not.
func (h *health) note(servers []netip.AddrPort, winner int, now time.Time) {
	n := len(servers)
	if winner == 0 || n == 1 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.avoid) > 4*maxServers { // of configurations long gone
		h.avoid = nil
	}
	if h.avoid == nil {
		h.avoid = make(map[netip.AddrPort]time.Time)
	}
	for i := range min(winner, n) {
		h.avoid[servers[i]] = now.Add(avoidServer)
	}
	delete(h.avoid, servers[winner%n])
}
