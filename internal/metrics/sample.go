package metrics

import (
	"net/netip"
	"strings"
	"time"
)

// Sample is one finished request, as the numbers need it.
type Sample struct {
	Client   netip.Addr
	Method   string
	Result   string // squid's result code: TCP_MEM_HIT
	Status   int    // 0 when nothing was sent
	Duration time.Duration
	BytesIn  int64  // from the client, head included
	BytesOut int64  // to the client, head included
	Denied   string // why the rules refused it, a bounded set of words; empty: they did not
	Failed   bool   // it was answered with an error page of ours
}

// Fetch is one finished exchange with an origin, a parent or a peer, or one
// finished tunnel.
type Fetch struct {
	Tunnel   bool // counted as "other" by the manager pages, else as http
	BytesIn  int64
	BytesOut int64
	Failed   bool
}

// class is what a result code means to the counters.
type class struct {
	hit, memHit, diskHit bool
	aborted              bool
	times                ServiceTime // besides AllRequests
}

// classify reads a result code of squid, with the classes that squid uses for
// its hit counters and service times.
func classify(result string) class {
	var c class
	tag, aborted := strings.CutSuffix(result, "_ABORTED")
	c.aborted = aborted
	tag = strings.TrimSuffix(tag, "_TIMEDOUT")
	_, tag, _ = strings.Cut(tag, "_")
	tag = strings.TrimPrefix(tag, "CF_")
	switch tag {
	case "MEM_HIT":
		c.hit, c.memHit, c.times = true, true, CacheHits
	case "HIT", "OFFLINE_HIT":
		c.hit, c.diskHit, c.times = true, true, CacheHits
	case "IMS_HIT", "INM_HIT":
		c.hit, c.times = true, NotModified
	case "REFRESH_UNMODIFIED":
		c.hit, c.times = true, NearHits
	case "REFRESH_FAIL_OLD", "NEGATIVE_HIT":
		c.hit = true
	case "MISS", "CLIENT_REFRESH_MISS", "SWAPFAIL_MISS", "REFRESH_MODIFIED":
		c.times = CacheMisses
	}
	return c
}

// methods are the methods that have a label of their own.
var methods = [...]string{"other", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "PATCH", "TRACE", "PURGE", "PROPFIND"}

// methodIndex returns the index in methods.
func methodIndex(method string) uint8 {
	for i := 1; i < len(methods); i++ {
		if methods[i] == method {
			return uint8(i)
		}
	}
	return 0
}

// codeClasses are the values of code_class; none is a request that was not
// answered.
var codeClasses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func codeIndex(status int) uint8 {
	if i := status / 100; i >= 1 && i <= 5 {
		return uint8(i)
	}
	return 0
}
