// Package accesslog writes one line per request in the formats that log tools
// read: squid native, common, combined and JSON. It knows nothing of how a
// request was served.
package accesslog

import (
	"net/netip"
	"time"
)

// Entry is all that is said about one request when it has ended. The same
// entry feeds the log, the metrics and the manager pages.
type Entry struct {
	Time     time.Time     // when the last byte was sent
	Duration time.Duration // from the request's first byte (or accept, for a tunnel) to Time
	TTFB     time.Duration // to the response's first byte; 0 when there was none
	Client   netip.Addr
	User     string // authenticated name, empty if none
	Method   string
	URL      string // as the client asked, absolute; host:port for CONNECT; no userinfo
	Proto    string // HTTP/1.1
	Result   Result
	Status   int   // 0 when nothing was sent
	BytesIn  int64 // from the client, head included
	BytesOut int64 // to the client, head included

	Hier        Hier
	Peer        string // address or name of where it was fetched, empty if nowhere
	ContentType string
	Referer     string
	UserAgent   string
	RequestID   uint64 // unique since the start of the process, shown in base 36; 0: none
	CacheStatus string // our member of Cache-Status
	ProxyError  string // the error type of Proxy-Status, empty if none
	Denied      string // kind of the rule that refused it (acl.Verdict.Reason), empty if none did; for the metrics, in no format
}

// Tag is the part of squid's result code that says what the cache did.
type Tag uint8

// The tags, in squid's spelling by String.
const (
	TagNone Tag = iota // NONE
	TagHit
	TagMemHit
	TagMiss
	TagRefreshUnmodified
	TagRefreshModified
	TagRefreshFailOld
	TagRefreshFailErr
	TagClientRefreshMiss
	TagIMSHit
	TagINMHit
	TagSwapFailMiss
	TagNegativeHit
	TagDenied
	TagOfflineHit
	TagRedirect
	TagTunnel
	TagMissNoFetch // of an ICP query, as is the next
	TagInvalid
)

// Result is squid's result code, TCP[_CF]_TAG[_TIMEDOUT][_ABORTED] or
// NONE_NONE for a request that was never understood.
type Result struct {
	Tag       Tag
	None      bool // NONE_ instead of TCP_
	UDP       bool // UDP_ instead of TCP_: an ICP query
	Collapsed bool // _CF: joined another request's fetch
	TimedOut  bool
	Aborted   bool
}

// Hier is squid's hierarchy code: where the response was fetched.
type Hier uint8

// The hierarchy codes, in squid's spelling by String.
const (
	HierNone Hier = iota // HIER_NONE
	HierDirect
	HierSiblingHit
	HierParentHit
	HierCDSiblingHit
	HierCARP
	HierFirstUpParent
	HierRoundRobinParent
	HierSourceHashParent
	HierOriginalDst
	HierPinned
)
