package proxy

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/leash"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// manyRanges is the number of ranges from which on a Range field is not worth
// an origin's work; a server may always ignore it (RFC 9110 §14.2). So is one
// that comes twice, of which every reader takes another.
const manyRanges = 16

// fill describes the fetch that answers x: a plain one, or, with base, one that
// validates the stored response.
func (x *exchange) fill(base cache.Object) fill { return x.fillAs(x.r.Method, base) }

func (x *exchange) fillAs(method string, base cache.Object) fill {
	own := &struct { // a fetch may outlive the exchange
		req cache.Request
		url url.URL
	}{*x.req, *x.url}
	f := fill{
		req: &own.req, seen: x.seen, rules: x.rules, method: method, url: &own.url, length: x.r.ContentLength,
		header: x.outgoing(), base: base,
	}
	if method != x.r.Method {
		f.req.Reset(method, x.req.Key, x.r.Header)
	}
	if x.hasBody() {
		f.body = x.takeBody()
		f.trailer = x.r.Trailer
	} else {
		f.length = 0
	}
	f.alone = f.method != http.MethodGet || f.body != nil || x.req.NoStore() ||
		personal(f.header, base != nil) || base == nil && x.p.flights.wasAlone(x.req.Key)
	if base != nil { // also for HEAD: else a 304 would answer its client's validators, not ours
		delete(f.header, "Range")
		delete(f.header, "If-Range")
		cache.SetValidators(f.header, base.Meta())
	}
	if lines := f.header["Range"]; len(lines) > 1 || len(lines) == 1 && strings.Count(lines[0], ",") >= manyRanges {
		delete(f.header, "Range")
		delete(f.header, "If-Range")
	}
	return f
}

// personalFields make the answer to a request its client's own, in ways that
// Vary does not tell. The second half goes away when we validate: the answer is
// then evaluated for each client anew.
var personalFields = []string{
	"Authorization", "Expect",
	"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
}

func personal(h http.Header, validating bool) bool {
	fields := personalFields
	if validating {
		fields = fields[:2]
	}
	for _, k := range fields {
		if _, ok := h[k]; ok {
			return true
		}
	}
	return false
}

// outgoing is the request's header, which is clean, as it goes on.
func (x *exchange) outgoing() http.Header {
	h := make(http.Header, len(x.r.Header)+1)
	maps.Copy(h, x.r.Header)
	delete(h, "Host")
	delete(h, "Content-Length")
	x.p.addVia(h, x.r.ProtoMinor)
	return h
}

// cleanHeader takes what does not go on out of the request's header. The policy
// has to see the fields as the origin does, which may select by them: a variant
// that is stored for a field the origin never saw would be another's.
func (x *exchange) cleanHeader() {
	dropHop(x.r.Header, false)
	if !x.r.ProtoAtLeast(1, 1) || !x.hasBody() {
		delete(x.r.Header, "Expect") // RFC 9110 §10.1.1: nothing would be waited for
	}
	x.forwardedFor()
}

// hasBody reports whether the client sends one, be it empty in chunks.
func (x *exchange) hasBody() bool {
	return x.r.Body != nil && x.r.Body != http.NoBody && x.r.ContentLength != 0
}

// forwardedFor applies the option of that name.
func (x *exchange) forwardedFor() {
	h := x.r.Header
	switch x.p.o.Headers.ForwardedFor {
	case "add":
		old := h["X-Forwarded-For"]
		h["X-Forwarded-For"] = append(slices.Clip(old), x.log.Client.String())
	case "delete":
		delete(h, "X-Forwarded-For")
	}
}

// fetch makes or joins the fetch and answers from it.
func (x *exchange) fetch(f fill) {
	for {
		fl, joined := x.p.join(f)
		if fl == nil {
			x.release(f)
			r := refuse(http.StatusServiceUnavailable, errCannotForward, "Too many requests wait for this URL already.")
			r.keep = true
			x.fail(r.as("proxy_internal_error"))
			return
		}
		again := x.follow(fl, f, joined)
		if !again {
			return
		}
		f.alone = true
	}
}

// follow answers from fl. It returns true when fl turned out to be of no use
// to this request, which then needs a fetch of its own.
func (x *exchange) follow(fl *flight, f fill, joined bool) (again bool) {
	if joined { // the flight has a base of its own
		defer fl.leave()
		defer func() {
			if !again {
				x.release(f)
			}
		}()
	} else {
		defer x.leave(fl)
	}
	if !x.await(fl, joined) {
		x.clientGone()
		return false
	}
	if joined && !x.shares(fl) {
		// A failing origin is not asked once more by each who waits.
		return f.base == nil || fl.status < 500 || !x.stale(fl, f.base)
	}
	x.status.Collapsed, x.log.Result.Collapsed = joined, joined
	x.from(fl.route)
	x.settle(fl, f)
	return false
}

// await has the fetch made, or waits for it where it is another's; false: the
// client has left.
func (x *exchange) await(fl *flight, joined bool) bool {
	if joined {
		return fl.wait(x.ctx, nil) == nil
	}
	if fl.fill.body != nil { // which is read while the answer may come already
		fl.infos = make(chan interim, mostHints)
		fl.start()
		return fl.wait(x.ctx, x.interim) == nil
	}
	var end leash.Hook
	end.Set(x.ctx, fl.abandon)
	fl.runFor(x)
	fl.hints.end()
	return end.Unset()
}

// leave ends x's use of the flight that it began.
func (x *exchange) leave(fl *flight) {
	if fl.through != nil {
		fl.through.end()
	}
	fl.abandon()
}

func (x *exchange) release(f fill) {
	if f.base != nil {
		f.base.Release()
	}
}

// shares reports whether another's fetch answers this request too.
func (x *exchange) shares(fl *flight) bool {
	switch {
	case fl.err != nil: // unless it was about the other request
		return upstream.Classify(fl.err).Status >= http.StatusInternalServerError
	case fl.meta == nil, fl.validated && !fl.stored, !fl.validated && !fl.found && fl.meta.Spans != nil:
		return false
	}
	return x.rules.policy.Shareable(x.req, fl.meta, x.p.d.Clock())
}

// settle answers from a fetch whose outcome is there.
func (x *exchange) settle(fl *flight, f fill) {
	base := f.base
	validating := base != nil && f.missing.Len == 0
	switch {
	case errors.Is(fl.err, errOtherRepresentation):
		if fl.status < http.StatusInternalServerError { // that says nothing of the part
			x.p.outdate(x.req.Key)
		}
		x.fetch(x.fill(nil))
	case fl.validated:
		x.fromStored(fl)
	case fl.found:
		x.found(fl)
	case validating && (fl.err != nil || fl.status >= 500) && x.stale(fl, base):
	case fl.err != nil:
		if validating {
			x.log.Result.Tag = accesslog.TagRefreshFailErr
		}
		x.fail(refusalOf(fl.err))
	default:
		x.tag(validating)
		x.fromFlight(fl)
	}
}

// fromStored answers with the stored response that the origin found still good.
func (x *exchange) fromStored(fl *flight) {
	base := fl.fill.base // not ours: the body must be the one that was validated
	x.log.Result.Tag = accesslog.TagRefreshUnmodified
	d := x.rules.policy.Reuse(x.req, fl.meta, x.p.d.Clock())
	x.status.Fwd, x.status.Hit = "", true // as squid counts it
	x.status.HasTTL, x.status.TTL, x.status.Detail = true, d.TTL, "revalidated"
	answer := cache.Evaluate(x.req, fl.meta)
	if len(answer.Missing) > 0 || base.Verify() != nil {
		x.log.Result.Tag, x.status.Hit = accesslog.TagNone, false
		x.forward(cache.FwdPartial, "")
		x.refetch()
		return
	}
	if !x.status.Collapsed {
		cache.CopyOwn(x.w.Header(), fl.meta, fl.header)
	}
	x.stored(fl.meta, base, answer, d.Age)
}

// found answers from an object that was committed while this request looked.
func (x *exchange) found(fl *flight) {
	d := x.rules.policy.Reuse(x.req, fl.meta, x.p.d.Clock())
	answer := cache.Evaluate(x.req, fl.meta)
	if len(answer.Missing) > 0 { // a part that was enough for another request
		x.refetch()
		return
	}
	x.log.Result.Tag = hitTag(x.r.Header.Get("If-None-Match") != "", fl.meta, answer, fl.fill.base.Tier())
	x.status.Fwd, x.status.Hit, x.status.HasTTL, x.status.TTL = "", true, true, d.TTL
	x.stored(fl.meta, fl.fill.base, answer, d.Age)
}

// stale answers with a stale response instead of an error, where that is allowed.
func (x *exchange) stale(fl *flight, base cache.Object) bool {
	status := fl.status
	if fl.err != nil {
		status = 0
	}
	now := x.p.d.Clock()
	m := base.Meta()
	ok, why := x.rules.policy.ReuseOnError(x.req, m, status, now)
	answer := cache.Evaluate(x.req, m)
	if !ok || len(answer.Missing) > 0 || base.Verify() != nil {
		return false
	}
	d := x.rules.policy.Reuse(x.req, m, now)
	x.log.Result.Tag = accesslog.TagRefreshFailOld
	x.status.Fwd, x.status.Hit = "", true
	x.status.HasTTL, x.status.TTL, x.status.Detail = true, d.TTL, string(why)
	x.stored(m, base, answer, d.Age)
	return true
}

// tag notes what kind of miss this was.
func (x *exchange) tag(validating bool) {
	switch {
	case x.log.Result.Tag != accesslog.TagNone:
	case validating && x.status.Fwd == cache.FwdRequest:
		x.log.Result.Tag = accesslog.TagClientRefreshMiss
	case validating:
		x.log.Result.Tag = accesslog.TagRefreshModified
	default:
		x.log.Result.Tag = accesslog.TagMiss
	}
}

// asItCame reports a response that answers what its client asked of the origin
// itself, and is passed on as it came; what is shared or was changed on the way is
// evaluated for each client.
func (fl *flight) asItCame() bool {
	return fl.meta == nil || fl.meta.Spans != nil && fl.fill.missing.Len == 0
}

// fromFlight answers with a response while it arrives.
func (x *exchange) fromFlight(fl *flight) {
	x.status.FwdStatus, x.status.Stored = fl.status, fl.stored
	if !fl.stored && x.status.Detail == "" && fl.why != "" {
		x.status.Detail = string(fl.why)
	}
	m := fl.meta
	if fl.asItCame() || x.r.Method != http.MethodGet {
		x.relay(fl)
		return
	}
	answer := cache.Answer{Status: m.Status}
	if m.Total >= 0 {
		answer = cache.Evaluate(x.req, m)
	}
	if len(answer.Missing) > 0 {
		x.relay(fl)
		return
	}
	off := int64(0)
	if len(answer.Spans) > 0 {
		off, _ = bodyRun(m, answer.Spans[0])
	}
	src := fl.body.attach(x.ctx, off)
	if src == nil {
		x.refetch()
		return
	}
	defer src.detach()
	src.idle = x
	if x.status.Collapsed { // another's response, less what was his alone
		x.storedFields(m, x.rules.policy.Reuse(x.req, m, x.p.d.Clock()).Age)
	} else {
		x.setFields(fl.header)
	}
	if fl.fill.missing.Len > 0 { // it is the combined response
		delete(x.w.Header(), "Content-Range")
		x.setFields(m.Header)
	}
	x.deliver(m, src, answer)
	x.finishTrailers(fl)
}

// refetch answers by a fetch of its own a request that joined another's whose
// body the store then lost, when other readers were ahead of it already.
func (x *exchange) refetch() {
	f := x.fill(nil)
	f.alone = true
	x.fetch(f)
}

// relay passes the origin's response to the client who asked for it.
func (x *exchange) relay(fl *flight) {
	src, detach := x.bodyOf(fl)
	if src == nil {
		x.refetch()
		return
	}
	defer detach()
	h := x.w.Header()
	x.setFields(fl.header)
	if x.r.Method == http.MethodHead || fl.status == http.StatusNoContent || fl.status == http.StatusNotModified {
		x.writeHead(fl.status) // a Content-Length stays what the origin says of the body it did not send
		return
	}
	setLength(h, fl.length)
	x.writeHead(fl.status)
	x.copy(src, 0, fl.length)
	x.finishTrailers(fl)
}

// bodyOf is the body of fl from its beginning on; nil when that has been forgotten.
func (x *exchange) bodyOf(fl *flight) (src source, detach func()) {
	if fl.through != nil {
		fl.through.idle = x
		return fl.through, func() {}
	}
	r := fl.body.attach(x.ctx, 0)
	if r == nil {
		return nil, nil
	}
	r.idle = x
	return r, r.detach
}

// stillStale looks the stored response up once more, as another refresh may have
// ended since this request found it stale; nil when one has.
func (x *exchange) stillStale() cache.Object {
	obj, _ := x.lookup()
	if obj != nil && x.rules.policy.Reuse(x.req, obj.Meta(), x.start).Verdict == cache.Hit {
		obj.Release()
		return nil
	}
	return obj
}

// refreshBehind validates a stale object for those who come later.
func (x *exchange) refreshBehind() {
	select {
	case x.p.flights.background <- struct{}{}:
	default:
		return // enough are under way; a later hit will try again
	}
	free := func() { <-x.p.flights.background }
	obj := x.stillStale()
	if obj == nil {
		free()
		return
	}
	f := x.fillAs(http.MethodGet, obj)
	delete(f.header, "Cache-Control") // the stale answer has met the client's wishes
	if f.alone {
		obj.Release()
		free()
		return
	}
	fl, joined := x.p.join(f)
	if fl == nil || joined {
		obj.Release()
		if joined {
			fl.leave()
		}
		free()
		return
	}
	fl.stayBehind()
	fl.start()
	fl.leave()
	x.p.fetch.Go(func() {
		<-fl.done.wait()
		free()
	})
}
