package metrics

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
)

// The table of clients is bounded, since addresses are anybody's: when a shard
// is full, the client that was silent for longest makes room.
const (
	clientShards   = 16
	clientsInShard = 256
)

// Client is what one client address has asked for.
type Client struct {
	Addr     netip.Addr
	Requests int64
	Hits     int64
	BytesOut int64
	Results  []ResultCount // most frequent first
}

// ResultCount is how often a client got a result code.
type ResultCount struct {
	Result string
	Count  int64
}

type clientTable struct {
	shards [clientShards]clientShard
}

type clientShard struct {
	mu      sync.Mutex // guards the rest
	minute  int64      // counts ticks: a clock that costs nothing
	clients map[netip.Addr]*clientEntry
}

type clientEntry struct {
	seen     int64 // minute of the last request
	requests int64
	hits     int64
	bytesOut int64
	results  []clientResult // few, searched in turn
}

type clientResult struct {
	result *result
	count  int64
}

func newClientTable() *clientTable {
	t := new(clientTable)
	for i := range t.shards {
		t.shards[i].clients = make(map[netip.Addr]*clientEntry)
	}
	return t
}

// shard spreads addresses by their low bytes, which differ most.
func (t *clientTable) shard(a netip.Addr) *clientShard {
	b := a.As16()
	return &t.shards[(b[15]^b[14]^b[7])%clientShards]
}

func (t *clientTable) count(s *Sample, r *result) {
	if !s.Client.IsValid() {
		return
	}
	addr := s.Client.WithZone("").Unmap()
	sh := t.shard(addr)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.clients[addr]
	if e == nil {
		e = sh.add(addr)
	}
	e.seen = sh.minute
	e.requests++
	e.bytesOut += s.BytesOut
	if r.class.hit {
		e.hits++
	}
	for i := range e.results {
		if e.results[i].result == r {
			e.results[i].count++
			return
		}
	}
	e.results = append(e.results, clientResult{r, 1})
}

// add makes the entry of a new client, in the place of the one that was silent
// for longest when the shard is full.
func (sh *clientShard) add(addr netip.Addr) *clientEntry {
	if len(sh.clients) >= clientsInShard {
		var oldest netip.Addr
		for a, e := range sh.clients {
			if !oldest.IsValid() || e.seen < sh.clients[oldest].seen {
				oldest = a
			}
		}
		delete(sh.clients, oldest)
	}
	e := new(clientEntry)
	sh.clients[addr] = e
	return e
}

func (t *clientTable) tick() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		sh.minute++
		sh.mu.Unlock()
	}
}

// Clients returns the clients that are remembered (about 4000 at most, the
// silent ones are forgotten first), by address.
func (m *Metrics) Clients() []Client {
	var out []Client
	for i := range m.clients.shards {
		out = m.clients.shards[i].appendAll(out)
	}
	slices.SortFunc(out, func(a, b Client) int { return a.Addr.Compare(b.Addr) })
	return out
}

func (sh *clientShard) appendAll(out []Client) []Client {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for addr, e := range sh.clients {
		c := Client{Addr: addr, Requests: e.requests, Hits: e.hits, BytesOut: e.bytesOut}
		for _, r := range e.results {
			c.Results = append(c.Results, ResultCount{r.result.name, r.count})
		}
		slices.SortFunc(c.Results, func(a, b ResultCount) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Result, b.Result))
		})
		out = append(out, c)
	}
	return out
}

// ClientCount is the number of clients that are remembered.
func (m *Metrics) ClientCount() int {
	n := 0
	for i := range m.clients.shards {
		sh := &m.clients.shards[i]
		sh.mu.Lock()
		n += len(sh.clients)
		sh.mu.Unlock()
	}
	return n
}
