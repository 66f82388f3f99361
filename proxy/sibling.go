package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/icp"
	"github.com/cachenode/cachenode/peer/sibling"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// Siblings are the caches beside this one, which a miss asks first. It is a
// sibling.Finder.
type Siblings interface {
	// Find returns a sibling that has the response to a plain GET of a cache key.
	Find(ctx context.Context, key string) (sibling.Found, bool)
	// Done is told how a fetch from what Find returned has ended.
	Done(who sibling.Found, how sibling.Outcome)
	// IsSibling reports whether a client at this address is a sibling.
	IsSibling(addr netip.Addr) bool
	// Stored is told of each key that has come into the store.
	Stored(key string)
}

// The values of FillOptions.StoreSiblingHits.
const (
	storeHot    = "hot"
	storeAlways = "always"
	storeNever  = "never"
)

const (
	// reasonBorrowed is why a response is not stored that a sibling has.
	reasonBorrowed cache.Reason = "sibling-has-it"
	// smallBody is how much of a sibling's response is read before anybody sees
	// the head: a sibling that fails on the way to here has cost nothing then.
	smallBody = 64 << 10
	// stalls is how many times SiblingTimeout a sibling may pause in the middle of
	// a body, where the origin can go on.
	stalls = 10
	// maxHops bounds the caches that a response may have come through: two
	// siblings that take it from each other would make its Via grow for ever.
	maxHops = 8
)

// firstAnswer makes the fetch: from a sibling that has the response, else from
// the origin. sent is when the request was sent that was answered.
func (fl *flight) firstAnswer(ctx context.Context) (resp *http.Response, route upstream.Route, sent time.Time, err error) {
	if fl.fill.siblingsMayHave(fl.p) {
		if who, ok := fl.p.d.Siblings.Find(ctx, fl.fill.req.Key); ok {
			sent = fl.p.d.Clock()
			var how sibling.Outcome
			if resp, route, how = fl.borrow(ctx, who, sent); resp != nil {
				fl.borrowed = true
				return resp, route, sent, nil
			}
			if ctx.Err() == nil {
				fl.p.d.Siblings.Done(who, how)
			}
		}
	}
	sent = fl.p.d.Clock()
	resp, route, err = fl.exchange()
	return resp, route, sent, err
}

// siblingsMayHave reports a fetch that a sibling's store can answer: a plain
// miss, of a client who takes what a cache has.
func (f *fill) siblingsMayHave(p *Proxy) bool {
	if p.d.Siblings == nil || f.method != http.MethodGet || f.base != nil || f.body != nil || f.url.Scheme != "http" {
		return false
	}
	if f.header["Authorization"] != nil || f.req.NoStore() || f.req.WantsFresh() {
		return false
	}
	ok, _, _ := f.rules.policy.Lookup(f.req)
	return ok
}

// errSlowSibling ends a fetch from a sibling that takes too long.
var errSlowSibling = errors.New("the sibling takes too long")

// borrow fetches from a sibling; nil, with the reason, when what it answers is
// of no use. The origin is not asked: one hop is all there is.
func (fl *flight) borrow(outer context.Context, who sibling.Found, sent time.Time) (*http.Response, upstream.Route, sibling.Outcome) {
	ctx, cancel := context.WithCancelCause(outer)
	late := time.AfterFunc(fl.p.o.Fill.SiblingTimeout.D(), func() { cancel(errSlowSibling) })
	failed := func(err error) (*http.Response, upstream.Route, sibling.Outcome) {
		defer cancel(nil)
		late.Stop()
		if errors.Is(context.Cause(ctx), errSlowSibling) || isTimeout(err) {
			return nil, upstream.Route{}, sibling.Slow
		}
		return nil, upstream.Route{}, sibling.Failed
	}
	resp, route, err := fl.p.origin.DoSibling(fl.siblingRequest(ctx), upstream.Sibling{Name: who.Name, Addr: who.Proxy, Hier: hierOf(who)})
	if err != nil {
		return failed(err)
	}
	if how := fl.judge(resp, sent); how != sibling.Served {
		late.Stop()
		resp.Body.Close()
		cancel(nil)
		return nil, upstream.Route{}, how
	}
	if err := readSmall(resp); err != nil {
		resp.Body.Close()
		return failed(err)
	}
	if !late.Stop() {
		resp.Body.Close()
		return failed(errSlowSibling)
	}
	done := func(how sibling.Outcome) {
		cancel(nil)
		fl.p.d.Siblings.Done(who, how)
	}
	body := &borrowedBody{ReadCloser: resp.Body, done: done, stall: stalls * fl.p.o.Fill.SiblingTimeout.D(), late: late}
	body.resume = fl.resumer(outer, resp)
	resp.Body = body
	return resp, route, sibling.Served
}

func hierOf(who sibling.Found) accesslog.Hier {
	if who.ByDigest {
		return accesslog.HierCDSiblingHit
	}
	return accesslog.HierSiblingHit
}

// siblingRequest is the request with only-if-cached, so that the sibling answers
// from its store or not at all. Conditions are left out: they are judged here,
// by what comes back.
func (fl *flight) siblingRequest(ctx context.Context) *http.Request {
	f := &fl.fill
	h := f.header.Clone()
	delete(h, "If-None-Match")
	delete(h, "If-Modified-Since")
	directives := append(slices.Clip(h["Cache-Control"]), "only-if-cached")
	h["Cache-Control"] = []string{strings.Join(directives, ", ")}
	return (&http.Request{
		Method: f.method, URL: f.url, Host: f.url.Host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
}

// judge decides whether a sibling's response is one that this node would serve
// from its own store; other caches have other rules.
func (fl *flight) judge(resp *http.Response, sent time.Time) sibling.Outcome {
	f := &fl.fill
	if resp.StatusCode == http.StatusGatewayTimeout {
		return sibling.FalseHit
	}
	if resp.Header["Proxy-Status"] != nil || resp.Header["X-Squid-Error"] != nil || hops(resp.Header) > maxHops {
		return sibling.Refused
	}
	if s := resp.StatusCode; s >= 400 && s != http.StatusNotFound && s != http.StatusGone {
		return sibling.Refused
	}
	now := fl.p.d.Clock()
	m, _ := f.rules.policy.Admit(f.req, resp.StatusCode, stripHop(resp.Header), sent, now)
	if m == nil {
		return sibling.Refused
	}
	d := f.rules.policy.Reuse(f.req, m, now)
	if d.Verdict != cache.Hit || fl.p.flights.isOutdated(f.req.Key, now.Add(-d.Age-time.Second)) { // Age is whole seconds
		return sibling.Refused
	}
	return sibling.Served
}

// hops counts the members of Via.
func hops(h http.Header) int {
	n := 0
	for _, line := range h["Via"] {
		n += 1 + strings.Count(line, ",")
	}
	return n
}

// readSmall reads a body whole that is short.
func readSmall(resp *http.Response) error {
	if resp.ContentLength < 0 || resp.ContentLength > smallBody || resp.Body == http.NoBody {
		return nil
	}
	b := make([]byte, resp.ContentLength)
	if _, err := io.ReadFull(resp.Body, b); err != nil {
		return err
	}
	if n, err := resp.Body.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	resp.Body.Close()
	resp.Body = &wholeBody{*bytes.NewReader(b)}
	return nil
}

// keeps decides whether a response is stored here that a sibling has.
func (fl *flight) keeps() bool {
	p := fl.p
	switch p.o.Fill.StoreSiblingHits {
	case storeAlways:
		return true
	case storeNever:
		return false
	}
	again := p.hot.again(fl.fill.req.Key, p.o.Fill.HotAmong)
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	return again || fl.readers > 1
}

// hotSlots is how many keys hot remembers at most.
const hotSlots = 1 << 15

// hot remembers what siblings gave last. It counts in responses, not in time: of
// a node that turns its store over in minutes nearly everything comes again
// soon, and would be stored twice. It is a hint: a collision forgets one.
type hot struct {
	given atomic.Uint32           // responses, wrapping
	slots [hotSlots]atomic.Uint64 // 32 bits of the key's hash, then the number of the response
}

// again reports whether key was among the last responses, and remembers it.
func (t *hot) again(key string, among int) bool {
	h := xxh3.HashString(key)
	n := t.given.Add(1)
	old := t.slots[h%hotSlots].Swap(h&^(1<<32-1) | uint64(n))
	return old != 0 && old>>32 == h>>32 && n-uint32(old) <= uint32(among)
}

// Answer says what a sibling that asks for a URL is told: a hit only if a plain
// GET of it would be served from the store as it is.
func (p *Proxy) Answer(raw string) icp.Opcode {
	key, ok := keyOf(raw)
	if !ok {
		return icp.OpErr
	}
	req := cache.NewRequest(http.MethodGet, key, nil)
	policy, now, op := p.live.Load().policy, p.d.Clock(), icp.OpMiss
	for _, o := range p.d.Store.Lookup(key) {
		m := o.Meta()
		// The siblings' client may want another variant, or this one: he says so
		// when he fetches it.
		if m.Spans == nil && policy.Reuse(req, m, now).Verdict == cache.Hit {
			op = icp.OpHit
		}
		o.Release()
	}
	return op
}

// keyOf is the cache key of an absolute URL as text.
func keyOf(raw string) (key string, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	if s := strings.ToLower(u.Scheme); s != "http" && s != "https" {
		return "", false
	}
	if path := rawPath(raw); strings.HasPrefix(path, "/") {
		u.Opaque = path
	}
	return cache.Key(u), true
}

// fromSibling reports a request for what is stored that another cache of ours
// makes: who asks, and on whose behalf, was judged there.
func (x *exchange) fromSibling() bool {
	return x.p.d.Siblings != nil && x.r.Method == http.MethodGet && x.p.d.Siblings.IsSibling(x.log.Client) &&
		cache.NewRequest(x.r.Method, "", x.r.Header).OnlyIfCached()
}
