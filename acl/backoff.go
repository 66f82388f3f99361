package acl

import (
	"net/netip"
	"time"
)

const (
	forgiveEvery = time.Minute // one failure is forgotten
	firstWait    = time.Second
	maxFailing   = 16_384 // clients remembered
)

// backoff makes clients wait that keep sending wrong passwords. A right
// password does not clear the account: whoever has one could go on guessing
// those of others by sending it in between. It is not safe for concurrent use.
type backoff struct {
	free    int
	longest time.Duration
	clients *recent[netip.Addr, failing]
}

type failing struct {
	count int       // failures not forgotten yet
	since time.Time // from when the next to be forgotten is counted
	until time.Time // no attempt before
}

func newBackoff(free int, longest time.Duration) *backoff {
	return &backoff{free: free, longest: longest, clients: newRecent[netip.Addr, failing](maxFailing)}
}

// wait returns how long the client must still wait.
func (b *backoff) wait(client netip.Addr, now time.Time) time.Duration {
	f, ok := b.clients.get(subscriber(client))
	if !ok {
		return 0
	}
	return min(max(0, f.until.Sub(now)), b.longest)
}

// charge counts a failure and returns until when the client has to wait for it.
func (b *backoff) charge(client netip.Addr, now time.Time) (until time.Time) {
	if b.longest == 0 {
		return until
	}
	who := subscriber(client)
	f, _ := b.clients.get(who)
	if forgiven := int(now.Sub(f.since) / forgiveEvery); forgiven > 0 || now.Before(f.since) {
		f.count = max(0, f.count-max(0, forgiven))
		f.since = now
	}
	f.count++
	if f.count > b.free {
		f.until = now.Add(b.delay(f.count - b.free))
	}
	b.clients.put(who, f)
	return f.until
}

// refund takes back a charge, and its wait unless there was another since.
func (b *backoff) refund(client netip.Addr, until time.Time) {
	who := subscriber(client)
	f, ok := b.clients.get(who)
	if !ok {
		return
	}
	f.count = max(0, f.count-1)
	if f.until.Equal(until) {
		f.until = time.Time{}
	}
	b.clients.put(who, f)
}

// delay doubles from firstWait with every failure n counted from 1.
func (b *backoff) delay(n int) time.Duration {
	const doublings = 20
	return min(b.longest, firstWait<<min(n-1, doublings))
}

// subscriber is whom an address belongs to: an IPv6 client has a whole /64 to
// choose addresses from.
func subscriber(client netip.Addr) netip.Addr {
	client = plain(client)
	if !client.Is6() {
		return client
	}
	p, _ := client.Prefix(64)
	return p.Addr()
}
