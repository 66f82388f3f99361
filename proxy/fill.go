package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// fill is a fetch to be made.
type fill struct {
	req    *cache.Request
	seen   sighting // of the store, when this was found to be necessary
	rules  *rules
	method string
	url    *url.URL
	header http.Header // cleaned for the origin, owned by the fill

	body    *clientBody // of the request, nil: none; with one the fetch ends with its client
	length  int64
	trailer http.Header

	base    cache.Object // to validate, or to complete; nil on a miss
	missing cache.Span   // of base, to be fetched; none: validate
	alone   bool         // nobody may join
	aside   bool         // a part that is brought is not kept
}

// name tells equal fetches by; its key is empty when this one stands alone.
func (f *fill) name() flightName {
	name := flightName{key: f.req.Key}
	if f.base != nil {
		var b strings.Builder
		for _, s := range f.base.Meta().Vary {
			b.WriteString(s.Name + "=" + s.Value + "\n")
		}
		b.WriteString(strconv.FormatInt(f.base.Meta().Received.UnixNano(), 36))
		name.variant = b.String()
	}
	return name
}

// ask asks for the response and makes it the outcome. It returns one whose body is
// to be brought yet; nil: all is done.
func (fl *flight) ask() *http.Response {
	f := &fl.fill
	if fl.foundMeanwhile() {
		return nil
	}
	resp, route, sent, err := fl.firstAnswer(&fl.ctx)
	if err == nil && resp.StatusCode == http.StatusNotModified && f.base != nil && !fl.freshen(resp, sent, route) {
		// The 304 speaks of another response than ours: ask again, without conditions.
		f.unconditional()
		sent = fl.p.d.Clock()
		resp, route, err = fl.exchange()
	}
	if fl.validated {
		fl.head.happen()
		return nil
	}
	if err == nil && resp.StatusCode == http.StatusNotModified && !conditional(f.header) {
		resp.Body.Close()
		fl.p.stats.originErrors.Add(1)
		err = errNotModified
	}
	if err != nil {
		fl.err, fl.route = err, route
		fl.head.happen()
		return nil
	}
	return fl.take(resp, sent, route)
}

// errNotModified is a 304 to a request that set no conditions: its client has
// nothing that it could mean (RFC 9110 §15.4.5).
var errNotModified = &upstream.Error{
	Page: errInvalidResp, Status: http.StatusBadGateway, Type: "http_protocol_error",
	Err: errors.New("304 to a request without conditions"),
}

// conditional reports conditions that a 304 may answer.
func conditional(h http.Header) bool {
	return h["If-None-Match"] != nil || h["If-Modified-Since"] != nil
}

// foundMeanwhile makes an object the outcome that was committed between the
// look-up and the start of this flight, by another one.
func (fl *flight) foundMeanwhile() bool {
	f := &fl.fill
	if fl.name.key == "" || fl.p.flights.fresh(f.req.Key, f.seen) {
		return false
	}
	for _, o := range fl.p.d.Store.Lookup(f.req.Key) {
		if fl.found || !f.answeredBy(o, fl.p.d.Clock()) {
			o.Release()
			continue
		}
		if f.base != nil {
			f.base.Release()
		}
		f.base = o
		fl.meta, fl.status, fl.found, fl.stored = o.Meta(), o.Meta().Status, true, true
	}
	if fl.found {
		fl.head.happen()
	}
	return fl.found
}

// answeredBy reports whether o, newer than what is to be validated, needs no fetch.
func (f *fill) answeredBy(o cache.Object, now time.Time) bool {
	m := o.Meta()
	return (f.base == nil || m.Received.After(f.base.Meta().Received)) &&
		f.rules.policy.Shareable(f.req, m, now) && len(cache.Evaluate(f.req, m).Missing) == 0 && o.Verify() == nil
}

// exchange asks the origin.
func (fl *flight) exchange() (*http.Response, upstream.Route, error) {
	f := &fl.fill
	req := &fl.request
	*req = *(&http.Request{
		Method: f.method, URL: f.url, Host: f.url.Host, Header: f.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: f.length, Trailer: f.trailer,
	}).WithContext(&fl.ctx)
	if f.body != nil {
		req.Body = f.body
	}
	fl.p.stats.originRequests.Add(1)
	resp, route, err := fl.p.origin.Do(req, fl.pass)
	if err != nil {
		fl.p.stats.originErrors.Add(1)
	}
	return resp, route, err
}

// pass passes an informational response on to whoever began the fetch.
func (fl *flight) pass(code int, h http.Header) {
	if fl.hints.to != nil {
		fl.hints.pass(code, h)
		return
	}
	select {
	case fl.infos <- interim{code, h}:
	default:
	}
}

// freshen applies a 304 to the stored response that it validates; false when
// it is about another one.
func (fl *flight) freshen(resp *http.Response, sent time.Time, route upstream.Route) bool {
	f := &fl.fill
	resp.Body.Close()
	h := stripHop(resp.Header)
	m, ok := cache.Freshen(f.base.Meta(), h, sent, fl.p.d.Clock())
	if !ok || f.missing.Len > 0 { // a part cannot be asked for by its validator
		return false
	}
	fl.header, fl.meta, fl.status, fl.validated, fl.route = h, m, m.Status, true, route
	fl.stored = fl.update(f.base, m)
	return true
}

// update stores m in place of o's metadata, where others may be served a stored
// response with the fields of the answer to this request (RFC 9111 §3.5,
// §5.2.1.5). One that must not be kept any longer is dropped: what it says is
// its client's alone.
func (fl *flight) update(o cache.Object, m *cache.Meta) (stored bool) {
	f := &fl.fill
	req := f.req
	if req.Method != http.MethodGet {
		req = cache.NewRequest(http.MethodGet, req.Key, req.Header)
	}
	switch _, why := f.rules.policy.Admit(req, http.StatusOK, m.Header, m.Requested, m.Received); why {
	case cache.ReasonRequestNoStore, cache.ReasonAuthorization, cache.ReasonSetCookie:
		return false
	case cache.ReasonNoStore, cache.ReasonPrivate:
		if req.Header["Authorization"] == nil { // of others it says nothing
			fl.p.outdate(m.Key)
		}
		return false
	}
	if err := fl.p.d.Store.Update(o, m); err != nil {
		fl.refused(err)
	}
	fl.p.flights.landed(m.Key)
	return true
}

// unconditional takes the conditions, and the range, out of the request.
func (f *fill) unconditional() {
	for _, k := range []string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"} {
		delete(f.header, k)
	}
	f.missing = cache.Span{}
}

// take turns a response into the outcome. It returns the response if its body is
// to be brought.
func (fl *flight) take(resp *http.Response, sent time.Time, route upstream.Route) *http.Response {
	fl.in.begin(resp)
	f := &fl.fill
	received := fl.p.d.Clock()
	h := resp.Header
	dropHop(h, true)
	if resp.ProtoMinor == 0 {
		fl.p.addVia(h, 0)
	}
	if _, ok := h["Date"]; !ok { // RFC 9110 §6.6.1
		h["Date"] = []string{received.UTC().Format(http.TimeFormat)}
	}
	fl.status, fl.header, fl.length, fl.route = resp.StatusCode, h, resp.ContentLength, route
	fl.body.fit(fl.length)
	fl.invalidate()
	if f.missing.Len > 0 {
		fl.pieces = fl.combine(h, sent, received)
	} else {
		fl.admit(h, sent, received)
	}
	fl.supersede()
	fl.openWriter()
	if fl.stored || fl.name.key != "" && !fl.borrowed {
		fl.p.flights.remember(fl)
	}
	if fl.length < 0 {
		fl.trailer = http.Header{}
	}
	if fl.err != nil {
		fl.announce()
		fl.in.end()
		return nil
	}
	return resp
}

// admit decides about storing.
func (fl *flight) admit(h http.Header, sent, received time.Time) {
	f := &fl.fill
	if f.method == http.MethodHead {
		fl.freshenHead(h, sent, received)
		return
	}
	if fl.status >= 500 && f.base != nil {
		if keep, _ := f.rules.policy.ReuseOnError(f.req, f.base.Meta(), fl.status, received); keep {
			fl.why = "error-not-stored-over-stale"
			return // the stored response is worth more than the news of a failure
		}
	}
	fl.meta, fl.why = f.rules.policy.Admit(f.req, fl.status, h, sent, received)
	if f.aside && fl.meta != nil && fl.meta.Spans != nil {
		fl.why = reasonAside
	}
	if fl.borrowed && fl.meta != nil && !fl.keeps() {
		fl.why = reasonBorrowed
	}
	if fl.meta != nil && fl.meta.Length < 0 && fl.length >= 0 {
		fl.meta, _ = cache.Complete(fl.meta, fl.length)
	}
}

// supersede drops the stored response that the origin, asked about it, has
// answered with another one that will not take its place: one that is not to be
// kept (RFC 9111 §4.3.3), or that does not vary any more. It would come back when
// the origin fails, or go on being served while it is refreshed.
func (fl *flight) supersede() {
	f := &fl.fill
	if f.base == nil || f.missing.Len > 0 || f.method == http.MethodHead || f.req.Header["Authorization"] != nil {
		return
	}
	switch fl.why {
	case cache.ReasonStored:
		if len(f.base.Meta().Vary) == 0 || len(fl.meta.Vary) > 0 {
			return // it is stored in the same place, or selected as the newer one
		}
	case cache.ReasonNoStore, cache.ReasonPrivate, cache.ReasonVary, cache.ReasonNotCacheable, cache.ReasonUseless:
		if !ofTarget(fl.status) {
			return
		}
	default:
		return
	}
	fl.p.outdate(f.req.Key)
}

// ofTarget reports a status that says what has become of the target; others are
// about the request, or a failure.
func ofTarget(status int) bool {
	return status/100 == 2 || status/100 == 3 || status == http.StatusNotFound || status == http.StatusGone
}

// outdate drops what is stored of key, and has nothing taken from a sibling that
// is no newer.
func (p *Proxy) outdate(key string) {
	p.flights.outdate(key, p.d.Clock())
	p.d.Store.Delete(key)
}

// freshenHead applies the answer to a HEAD to what is stored (RFC 9111 §4.3.5).
func (fl *flight) freshenHead(h http.Header, sent, received time.Time) {
	if fl.status != http.StatusOK {
		return
	}
	store := fl.p.d.Store
	found := store.Lookup(fl.fill.req.Key)
	metas := make([]*cache.Meta, len(found))
	for i, o := range found {
		metas[i] = o.Meta()
	}
	pick, _ := cache.Select(fl.fill.req, metas)
	for i, o := range found {
		if i == pick {
			if m := cache.FreshenHead(o.Meta(), h, sent, received); m == nil {
				fl.p.outdate(fl.fill.req.Key)
			} else {
				fl.update(o, m)
			}
		}
		o.Release()
	}
}

// invalidate drops what an unsafe request made wrong (RFC 9111 §4.4), before
// anybody hears of its success.
func (fl *flight) invalidate() {
	f := &fl.fill
	keys := cache.Invalidates(f.req, f.url, fl.status, fl.header)
	for _, key := range keys {
		if epochSlot(key) == epochSlot(f.req.Key) {
			fl.epoch++ // our own doing: this response is newer than what it invalidates
		}
	}
	fl.p.Outdate(keys)
	if fl.p.d.Outdated != nil && len(keys) > 0 {
		fl.p.d.Outdated(keys)
	}
}

// Outdate drops what is stored of keys, keeps the fetches of them that are under
// way from being stored or joined, and takes nothing from a sibling that is no
// newer.
func (p *Proxy) Outdate(keys []string) {
	for _, key := range keys {
		p.flights.drop(key) // first: what is fetched now must not be stored behind the deletion
		p.outdate(key)
	}
}

// openWriter lets the store have the body, if the store will.
func (fl *flight) openWriter() {
	if fl.meta == nil || fl.why != cache.ReasonStored {
		return
	}
	w, err := fl.p.d.Store.Create(fl.meta)
	if err == nil && fl.p.flights.epoch(fl.meta.Key) != fl.epoch {
		w.Close()
		err = errInvalidated
	}
	if err != nil {
		fl.why = cache.Reason(storeReason(err))
		if fl.fill.missing.Len > 0 {
			return // the combined response is still how this client is answered
		}
		fl.meta = nil
		return
	}
	fl.body.w, fl.stored = w, true
}

// errInvalidated says that a response may be older than what invalidated it.
var errInvalidated = errors.New("invalidated while it was fetched")

func storeReason(err error) string {
	switch {
	case errors.Is(err, cache.ErrTooLarge):
		return "too-large"
	case errors.Is(err, errInvalidated):
		return "invalidated"
	}
	return "store-full"
}

// commit makes the object visible if all of it is in the store.
func (fl *flight) commit() {
	if !fl.stored || !fl.body.intact() {
		return
	}
	m, ok := cache.Complete(fl.meta, fl.body.end)
	if !ok {
		fl.p.d.Log.Debug("response not stored: its length is not what its head says", "key", fl.fill.req.Key)
		return
	}
	if m.Spans != nil && fl.outdone(m) {
		return
	}
	if err := fl.body.w.Commit(m); err != nil {
		fl.refused(err)
		return
	}
	fl.p.flights.landed(m.Key)
	if fl.p.d.Siblings != nil {
		fl.p.d.Siblings.Stored(m.Key)
	}
}

// refused tells why the store did not take a response, unless it says so itself
// when that begins: a full disk is no news with each request.
func (fl *flight) refused(err error) {
	if !errors.Is(err, cache.ErrFull) && !errors.Is(err, cache.ErrTooLarge) {
		fl.p.d.Log.Warn("response not stored", "error", err)
	}
}

// outdone reports that no less of the same representation is stored than the
// part m, or came to be while m was fetched. The store keeps the last one only.
func (fl *flight) outdone(m *cache.Meta) bool {
	found := false
	for _, o := range fl.p.d.Store.Lookup(m.Key) {
		have := o.Meta()
		found = found || have.Length >= m.Length && slices.Equal(have.Vary, m.Vary) &&
			(have.Received.After(m.Requested) || cache.SameRepresentation(have, m))
		o.Release()
	}
	return found
}
