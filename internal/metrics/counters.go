package metrics

import "sync/atomic"

// Counter names one of the totals that the manager pages show.
type Counter uint8

// The totals. Bytes include heads.
const (
	Requests Counter = iota
	Hits
	MemHits
	DiskHits
	Errors // error pages of ours
	BytesIn
	BytesOut
	HitBytesOut
	Aborted
	HTTPRequests // fetches from origins, parents and peers
	HTTPErrors
	HTTPBytesIn
	HTTPBytesOut
	OtherRequests // tunnels
	OtherErrors
	OtherBytesIn
	OtherBytesOut
	numCounters
)

// totals are the running values.
type totals [numCounters]atomic.Int64

func (t *totals) add(c Counter, n int64) { t[c].Add(n) }

// countSample adds a finished request.
func (t *totals) countSample(s *Sample, c class) {
	t.add(Requests, 1)
	t.add(BytesIn, s.BytesIn)
	t.add(BytesOut, s.BytesOut)
	if c.hit {
		t.add(Hits, 1)
		t.add(HitBytesOut, s.BytesOut)
	}
	if c.memHit {
		t.add(MemHits, 1)
	}
	if c.diskHit {
		t.add(DiskHits, 1)
	}
	if c.aborted {
		t.add(Aborted, 1)
	}
	if s.Failed {
		t.add(Errors, 1)
	}
}

// countFetch adds a finished fetch.
func (t *totals) countFetch(f *Fetch) {
	base := HTTPRequests
	if f.Tunnel {
		base = OtherRequests
	}
	t.add(base, 1)
	if f.Failed {
		t.add(base+HTTPErrors-HTTPRequests, 1)
	}
	t.add(base+HTTPBytesIn-HTTPRequests, f.BytesIn)
	t.add(base+HTTPBytesOut-HTTPRequests, f.BytesOut)
}

// ServiceTime names one of the distributions of durations.
type ServiceTime uint8

// The distributions, in the order in which squid prints them.
const (
	AllRequests ServiceTime = iota
	CacheMisses
	CacheHits
	NearHits    // revalidated and unchanged
	NotModified // a conditional request answered from the store
	DNSLookups
	ICPQueries
	numTimes
)
