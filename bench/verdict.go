package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/bench/workload"
)

// rules are what answers of a run are judged by. They do not change.
type rules struct {
	limits  limits
	change  time.Duration
	check   bool // bodies byte by byte
	tunnel  bool
	proxied bool // through a cache that may not say what it did
	ledger  *ledger
	serials func() uint64 // the origin's last serial; nil where it is not in this process
	behind  time.Duration // how far the origin's clock is behind ours
	// settled is a serial of some seconds ago: a fetch as old as that is over.
	settled atomic.Uint64
}

// judgeHead looks at everything that can be judged before the body, and makes
// ready for that.
func (x *exchange) judgeHead(r *rules) {
	x.claim = readClaim(&x.h)
	if r.tunnel {
		x.claim = claim{class: Tunnel, fetched: true}
	}
	x.want, x.off, x.check = -1, 0, false
	if x.ask.foreign {
		if x.h.status >= 500 {
			x.fail(BadStatus, x.statusText())
		}
		return
	}
	if !x.rightStatus() {
		x.fail(BadStatus, x.statusText())
		return
	}
	if x.h.status == 304 && len(x.h.object) == 0 {
		x.confirmed() // a 304 need not have more than the validator (RFC 9110 §15.4.5)
		x.judged = !x.claim.fetched
		return
	}
	var ok bool
	x.stamp, ok = parseStamp(x.h.object)
	switch {
	case !ok:
		x.fail(Foreign, "no answer of the origin: it has no good field Bench-Object")
		return
	case !bytes.Equal(x.stamp.id, x.ask.id):
		x.fail(Foreign, "the answer is of "+string(x.stamp.id))
		return
	case x.stamp.length != x.ask.size:
		x.fail(Foreign, fmt.Sprintf("the answer is of an object of %d bytes, not %d", x.stamp.length, x.ask.size))
		return
	}
	x.expectBody()
	if class, detail := r.limits.judgeAge(&x.h, &x.stamp, &x.dates, x.sent.Add(-r.behind), r.change); class != "" {
		x.fail(class, detail)
	}
	x.judgeClaim(r)
	if x.check = r.check; x.check {
		x.content.ResetTo(x.ask.id, x.stamp.version, x.stamp.length)
	}
}

// rightStatus compares with what the origin can have answered.
func (x *exchange) rightStatus() bool {
	switch x.h.status {
	case 200:
		return true
	case 206:
		return x.ask.kind == workload.Range
	case 304:
		if x.ask.kind != workload.Condition {
			x.fail(WrongValidation, "304 to a request without a condition")
		}
		return true
	}
	return false
}

func (x *exchange) statusText() string {
	text := "status " + strconv.Itoa(x.h.status)
	if len(x.h.proxyStatus) > 0 {
		text += ", Proxy-Status: " + string(x.h.proxyStatus)
	}
	return text
}

// expectBody says which bytes must come.
func (x *exchange) expectBody() {
	x.want = x.stamp.length
	switch x.h.status {
	case 304:
		x.confirmed()
		return
	case 206:
		part := "bytes " + strconv.FormatInt(x.ask.from, 10) + "-" + strconv.FormatInt(x.ask.to-1, 10) + "/" + strconv.FormatInt(x.ask.size, 10)
		if string(x.h.contentPart) != part {
			x.fail(WrongRange, fmt.Sprintf("Content-Range %q, asked for %q", x.h.contentPart, part))
			return
		}
		x.off, x.want = x.ask.from, x.ask.to-x.ask.from
	}
	if x.h.length >= 0 && x.h.length != x.want {
		x.fail(WrongLength, fmt.Sprintf("Content-Length %d, the object has %d", x.h.length, x.want))
	}
}

// confirmed looks at a 304, which has no body.
func (x *exchange) confirmed() {
	x.want = 0
	if len(x.h.etag) > 0 && !sameTag(x.h.etag, x.ask.etag) {
		x.fail(WrongValidation, fmt.Sprintf("304 with ETag %s to If-None-Match %s", x.h.etag, x.ask.etag))
	}
}

// sameTag is the weak comparison of RFC 9110 §8.8.3.2.
func sameTag(a, b []byte) bool {
	return bytes.Equal(bytes.TrimPrefix(a, []byte("W/")), bytes.TrimPrefix(b, []byte("W/")))
}

// judgeEnd looks at a body that is complete by its framing.
func (x *exchange) judgeEnd() {
	if x.want >= 0 && x.got != x.want && x.h.hasBody(x.ask.kind == workload.Head) {
		x.fail(WrongLength, fmt.Sprintf("%d bytes, complete by their framing, of %d", x.got, x.want))
	}
}

// judgeClaim holds what the answer says about its way against the origin's
// serial number in it.
func (x *exchange) judgeClaim(r *rules) {
	c := &x.claim
	x.judged = true
	fresh := r.serials != nil && x.stamp.serial > x.serialBefore
	if c.class == Hit && x.stamp.validated && fresh {
		// Many caches call it a hit when the origin has confirmed what they have.
		c.class, c.fetched = Revalidated, true
	}
	if c.class == Direct && r.proxied {
		x.infer(r, fresh)
		return
	}
	switch c.class {
	case Hit, DiskHit, SiblingHit:
		if r.limits.neverStore || x.ask.kind == workload.Post {
			x.fail(Stale, "from a store, where that is not allowed")
		} else if fresh && !r.limits.behind {
			r.ledger.suspect(x.stamp.serial, func() string {
				return x.example("it claims a hit, and carries an answer that the origin made while this request was under way, which no other request admits")
			})
		}
	case Revalidated: // many answers may share one validation
		c.fetched = (fresh || r.serials == nil) && r.ledger.admit(x.stamp.serial)
	case Miss:
		switch {
		case !c.fetched:
		case c.loose && !fresh && x.stamp.serial > r.settled.Load():
			c.fetched = false // X-Cache has no word for one fetch that many wait for
		case c.partial:
			// It may carry the fields of what was stored; the fetch then shows later.
			if !fresh || !r.ledger.admit(x.stamp.serial) {
				r.ledger.excuse()
			}
		case r.serials != nil && !fresh:
			x.fail(StatusLies, "it claims a fetch, and carries an answer that the origin made before this request was sent")
		case !r.ledger.admit(x.stamp.serial):
			x.fail(StatusLies, "it claims a fetch, and carries an answer of the origin that another claimed before")
		}
	}
}

// infer tells a hit from a miss where the proxy says nothing: an answer that the
// origin made for this request is a miss.
func (x *exchange) infer(r *rules, fresh bool) {
	x.claim.class = Hit
	if r.serials == nil || fresh {
		if r.ledger.admit(x.stamp.serial) {
			x.claim.class, x.claim.fetched = Miss, true
		}
	}
	if x.stamp.validated && x.claim.fetched {
		x.claim.class = Revalidated
	}
}

// example describes an exchange for a report.
func (x *exchange) example(detail string) string {
	text := x.sent.Format("15:04:05.000") + " " + x.ask.text() + ": " + detail
	switch {
	case x.h.status == 0:
	case len(x.h.cacheStatus) > 0:
		text += " (Cache-Status: " + string(x.h.cacheStatus) + ")"
	case len(x.h.xCache) > 0:
		text += " (X-Cache: " + string(x.h.xCache) + ")"
	}
	return text
}
