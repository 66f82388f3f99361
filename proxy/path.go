package proxy

import (
	"net/http"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/cache"
)

// serve is the whole life of a request.
func (x *exchange) serve() {
	if x.local() {
		return
	}
	t, bad := x.check()
	if bad == nil {
		bad = x.permit(t)
	}
	switch {
	case bad != nil:
		x.fail(bad)
	case x.r.Method == http.MethodConnect:
		x.tunnel()
	case wantsUpgrade(x.r):
		x.upgrade()
	case x.r.Method == http.MethodOptions && x.lastHop():
		x.options()
	default:
		x.answer()
	}
}

// answer serves from the store what may be served from it, and fetches the rest.
func (x *exchange) answer() {
	x.cleanHeader()
	if len(x.r.TransferEncoding) > 0 { // net/http takes it out, the policy must know of a body
		x.r.Header["Transfer-Encoding"] = x.r.TransferEncoding
	}
	x.req = &x.request
	x.req.Reset(x.r.Method, x.key(), x.r.Header)
	if ok, fwd, why := x.rules.policy.Lookup(x.req); !ok {
		x.miss(fwd, why)
		return
	}
	damaged := x.p.damaged.take(x.req.Key)
	obj, fwd := x.lookup()
	switch {
	case obj == nil && damaged:
		x.swapFail()
		return
	case obj == nil:
		x.miss(fwd, "")
		return
	}
	d := x.rules.policy.Reuse(x.req, obj.Meta(), x.start)
	switch {
	case d.Verdict == cache.Hit:
		x.hit(obj, d)
	case d.Verdict == cache.HitStale:
		x.refreshBehind()
		x.hit(obj, d)
	case d.Barred():
		obj.Release()
		x.miss(d.Fwd, d.Reason)
	default: // also what cannot be validated may stand in when the origin fails
		x.revalidate(obj, d)
	}
}

// key is the primary cache key, which a target in its plainest form is itself.
func (x *exchange) key() string {
	if _, plain := plainTarget(x.r.RequestURI); plain {
		return x.r.RequestURI
	}
	return cache.Key(x.url)
}

// lookup returns the stored response that the request selects, pinned.
func (x *exchange) lookup() (cache.Object, cache.Fwd) {
	x.seen = x.p.flights.look(x.req.Key)
	found := x.p.d.Store.Lookup(x.req.Key)
	if len(found) == 0 {
		return nil, cache.FwdURIMiss
	}
	metas := make([]*cache.Meta, len(found))
	for i, o := range found {
		metas[i] = o.Meta()
	}
	pick, fwd := cache.Select(x.req, metas)
	var obj cache.Object
	for i, o := range found {
		if i == pick {
			obj = o
		} else {
			o.Release()
		}
	}
	return obj, fwd
}

// hit serves obj, which it releases.
func (x *exchange) hit(obj cache.Object, d cache.Decision) {
	m := obj.Meta()
	answer := cache.Evaluate(x.req, m)
	if len(answer.Missing) > 0 {
		x.complete(obj, answer)
		return
	}
	defer obj.Release()
	if obj.Verify() != nil {
		x.swapFail()
		return
	}
	x.log.Result.Tag = hitTag(x.r.Header.Get("If-None-Match") != "", m, answer, obj.Tier())
	x.status.Hit, x.status.HasTTL, x.status.TTL = true, true, d.TTL
	x.status.Detail = hitDetail(d, obj.Tier())
	x.stored(m, obj, answer, d.Age)
}

// swapFail fetches what was stored and is damaged.
func (x *exchange) swapFail() {
	x.log.Result.Tag = accesslog.TagSwapFailMiss
	x.miss(cache.FwdURIMiss, "damaged")
}

// miss fetches what is not stored, unless the client wants only what is.
func (x *exchange) miss(fwd cache.Fwd, why cache.Reason) {
	if x.req.OnlyIfCached() {
		x.notCached()
		return
	}
	x.forward(fwd, why)
	x.fetch(x.fill(nil))
}

// revalidate asks the origin about a stored response; obj goes with the fetch.
func (x *exchange) revalidate(obj cache.Object, d cache.Decision) {
	x.status.HasTTL, x.status.TTL = d.Fwd == cache.FwdStale, d.TTL
	if x.req.OnlyIfCached() {
		obj.Release()
		x.notCached()
		return
	}
	x.forward(d.Fwd, d.Reason)
	x.fetch(x.fill(obj))
}

// forward notes why the store did not answer.
func (x *exchange) forward(fwd cache.Fwd, why cache.Reason) {
	x.status.Fwd, x.status.Detail = fwd, string(why)
}

// notCached answers a client who wants only what is stored. Nothing went forward,
// so that Cache-Status has no fwd (RFC 9211 §2.2).
func (x *exchange) notCached() {
	x.status.Detail = "only-if-cached"
	r := refuse(http.StatusGatewayTimeout, errOnlyIfCached, "The request allows only a stored response, and none is usable.")
	r.keep = true
	x.fail(r)
}

// hitTag is squid's name for a hit; tags says that the client named some.
func hitTag(tags bool, m *cache.Meta, a cache.Answer, tier cache.Tier) accesslog.Tag {
	switch {
	case a.Status == http.StatusNotModified && tags:
		return accesslog.TagINMHit
	case a.Status == http.StatusNotModified:
		return accesslog.TagIMSHit
	case m.Status >= 400:
		return accesslog.TagNegativeHit
	case tier == cache.TierMemory:
		return accesslog.TagMemHit
	}
	return accesslog.TagHit
}

// hitDetail says why a hit was one where that is not plain, and else where the
// body was if not in memory.
func hitDetail(d cache.Decision, tier cache.Tier) string {
	switch {
	case d.Verdict == cache.HitStale || d.TTL < 0:
		return string(d.Reason)
	case tier == cache.TierDisk:
		return "disk"
	}
	return ""
}
