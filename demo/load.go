package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cachenode/cachenode/bench/body"
	"github.com/cachenode/cachenode/bench/origin"
)

// Source is where a response came from, as its Cache-Status says.
type Source int

// The sources of a response.
const (
	FromOrigin  Source = iota
	FromSibling        // another node had it
	FromCache          // the node that answered had it
	sources
)

// Tally counts responses.
type Tally struct {
	From   [sources]int64
	Failed int64
}

func (t Tally) good() int64 { return t.From[FromOrigin] + t.From[FromSibling] + t.From[FromCache] }

func (t *Tally) add(o Tally) {
	for i := range t.From {
		t.From[i] += o.From[i]
	}
	t.Failed += o.Failed
}

// Load is the traffic of the demo, as its client sees it.
type Load struct {
	On      bool
	Total   Tally
	Seconds []Tally // the last ones, oldest first
	Failing Tally   // since requests began to fail; zero: none does
}

// keptSeconds is how far back one can look.
const keptSeconds = 60

// recent adds up the last n seconds.
func (l *Load) recent(n int) (t Tally) {
	for _, s := range l.Seconds[max(0, len(l.Seconds)-n):] {
		t.add(s)
	}
	return t
}

// second takes what was counted in one second, with why the last failure was
// one. It returns what is worth telling: the first failure after a time of none,
// and the end of failures.
func (l *Load) second(t Tally, why string) (news string) {
	l.Total.add(t)
	l.Seconds = append(l.Seconds, t)
	if n := len(l.Seconds); n > keptSeconds {
		l.Seconds = l.Seconds[n-keptSeconds:]
	}
	was := l.Failing
	switch {
	case t.Failed > 0 && was == (Tally{}):
		news = "requests fail: " + why
		l.Failing.add(t)
	case t.Failed > 0:
		l.Failing.add(t)
	case was != (Tally{}) && t.good() > 0:
		news = fmt.Sprintf("no request fails any more: %d failed, %d were answered meanwhile", was.Failed, was.good())
		l.Failing = Tally{}
	}
	return news
}

// sourceOf reads Cache-Status (RFC 9211): its members come from the cache
// nearest to the origin to the one nearest to the client.
func sourceOf(cacheStatus []string) Source {
	members := strings.Split(strings.Join(cacheStatus, ","), ",")
	for i, member := range slices.Backward(members) {
		for param := range strings.SplitSeq(member, ";") {
			if strings.TrimSpace(param) != "hit" {
				continue
			}
			if i == len(members)-1 {
				return FromCache
			}
			return FromSibling
		}
	}
	return FromOrigin
}

// What the traffic is like: pages that are asked for unevenly, and stay fresh
// for a while, so that there are hits of all kinds and misses all the time.
const (
	clients    = 6
	perSecond  = 60
	pages      = 2000
	freshFor   = 30 * time.Second
	perConn    = 20 // requests; then a client connects anew
	pageLeast  = 1 << 10
	pageSpread = 32 << 10
	patience   = 10 * time.Second // of a client
)

// page is the object of a number.
func page(n uint64) origin.Spec {
	return origin.Spec{
		ID: fmt.Sprintf("demo/page%d", n), Size: pageLeast + int64(body.Mix(n)%pageSpread), Status: http.StatusOK,
		CacheControl: fmt.Sprintf("max-age=%d", int(freshFor.Seconds())),
	}
}

// pageURL is where the origin has it.
func pageURL(base string, s origin.Spec) string {
	return base + origin.Prefix + s.ID + "?" + string(s.AppendQuery(nil))
}

// traffic asks for pages through the virtual IP.
type traffic struct {
	front  string // address of the proxy
	origin string // URL without a path
	on     atomic.Bool

	mu    sync.Mutex // guards tally and why
	tally Tally
	why   string
}

// since is what was counted since the last call.
func (t *traffic) since() (Tally, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tally, why := t.tally, t.why
	t.tally, t.why = Tally{}, ""
	return tally, why
}

// run asks until ctx ends.
func (t *traffic) run(ctx context.Context) error {
	var g errgroup.Group
	for i := range uint64(clients) {
		g.Go(func() error { t.client(ctx, i); return nil })
	}
	return g.Wait()
}

func (t *traffic) client(ctx context.Context, seed uint64) {
	chance := rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano())))
	popular := rand.NewZipf(chance, 1.2, 8, pages-1)
	transport := &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: t.front}), DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: patience}).DialContext,
	}
	defer transport.CloseIdleConnections()
	tick := time.NewTicker(clients * time.Second / perSecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !t.on.Load() {
			transport.CloseIdleConnections()
			continue
		}
		from, err := t.fetch(ctx, transport, page(popular.Uint64()))
		if ctx.Err() != nil {
			return
		}
		t.count(from, err)
		if n%perConn == 0 {
			transport.CloseIdleConnections()
		}
	}
}

func (t *traffic) count(from Source, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.tally.Failed++
		t.why = reason(err)
		return
	}
	t.tally.From[from]++
}

// reason is why a request failed, without the words of package net around it.
func reason(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op != "proxyconnect" {
		return fmt.Sprintf("%s %v: %v", e.Op, e.Addr, cause(e.Err))
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return reason(e.Err)
	}
	return err.Error()
}

// fetch gets one page and checks every byte of it.
func (t *traffic) fetch(ctx context.Context, by http.RoundTripper, s origin.Spec) (Source, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, pageURL(t.origin, s), nil)
	if err != nil {
		return 0, err
	}
	res, err := by.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, s.Size+1))
	switch {
	case err != nil:
		return 0, fmt.Errorf("the answer breaks off: %w", err)
	case res.StatusCode != s.Status:
		return 0, fmt.Errorf("answered %s", res.Status)
	case !right(s, b):
		return 0, errors.New("the answer has wrong bytes")
	}
	return sourceOf(res.Header.Values("Cache-Status")), nil
}

func right(s origin.Spec, b []byte) bool {
	var c body.Content
	c.Reset(s.Object(time.Time{}, ""))
	return int64(len(b)) == s.Size && c.Check(0, b) == len(b)
}
