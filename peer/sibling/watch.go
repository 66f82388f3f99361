package sibling

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	// watchEvery is how often it is looked whether somebody is to be tried.
	watchEvery = 25 * time.Millisecond
	// probeURL is asked about where only the answering is of interest. Its host
	// cannot exist (RFC 2606).
	probeURL = "http://icp-probe.invalid/"
	// checkTime is how long a proxy in quarantine has for an answer.
	checkTime = 100 * time.Millisecond
)

// Run tries those in the background who do not answer, until ctx ends, so that
// no miss has to, and keeps the digests.
func (f *Finder) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	if f.d.Digest != nil {
		work.Go(func() { _ = f.d.Digest.Run(ctx) }) // it ends with ctx only
	}
	tick, digests := time.NewTicker(watchEvery), time.NewTicker(f.o.DigestInterval.D())
	defer tick.Stop()
	defer digests.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-digests.C:
			for _, s := range f.updateDigests(f.d.Clock()) {
				work.Go(func() { f.fetchDigest(ctx, s) })
			}
		case <-tick.C:
			for _, s := range f.watch(f.d.Clock()) {
				work.Go(func() { f.check(ctx, s) })
			}
		}
	}
}

// watch sends the queries that are due and returns whose proxies are to be
// checked. It forgets those who are no siblings any more.
func (f *Finder) watch(now time.Time) (slow []Sibling) {
	list := f.d.Siblings()
	var ask []netip.AddrPort
	f.mu.Lock()
	listed := make(map[string]bool, len(list))
	for i := range list {
		s := &list[i]
		listed[s.ID] = true
		p := f.peer(s)
		if first := !p.health.probed; s.ICP.IsValid() && (p.health.quiet.due(now) || first) {
			p.health.probed = true
			ask = append(ask, s.ICP)
		}
		if p.health.quiet.news(now) {
			f.d.Log.Info("sibling is silent: it is asked in the background only", "sibling", s.Name, "icp", s.ICP)
		}
		if p.health.slow.news(now) {
			f.d.Log.Info("sibling is slow or down: nothing is fetched from it for now", "sibling", s.Name, "proxy", s.Proxy)
		}
		if p.health.slow.due(now) {
			slow = append(slow, *s)
		}
	}
	for id := range f.peers {
		if !listed[id] {
			delete(f.peers, id)
		}
	}
	f.mu.Unlock()
	if f.d.ICP != nil && f.o.Lookup != LookupDigest {
		for _, addr := range ask { // each with a number of its own: nobody waits for all
			f.d.ICP.Probe(probeURL, addr)
		}
	}
	return slow
}

// check asks a sibling's proxy for something that it cannot have, and ends its
// quarantine when it says so in time.
func (f *Finder) check(ctx context.Context, s Sibling) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := answers(ctx, s.Proxy); err != nil {
		return
	}
	f.mu.Lock()
	back := f.peer(&s).health.slow.leave()
	f.mu.Unlock()
	if back {
		f.d.Log.Info("sibling is fetched from again", "sibling", s.Name, "proxy", s.Proxy)
	}
}

// answers reports whether the proxy at addr answers before ctx ends.
func answers(ctx context.Context, addr string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing was written that could be lost
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: icp-probe.invalid\r\nCache-Control: only-if-cached\r\nConnection: close\r\n\r\n", probeURL); err != nil {
		return err
	}
	line, err := bufio.NewReaderSize(c, 64).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "HTTP/1.") {
		err = fmt.Errorf("%q is no HTTP response", line)
	}
	return err
}
