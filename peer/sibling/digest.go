package sibling

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// DigestPath is where a node serves its digest, on the port of its proxy.
const DigestPath = "/cachenode-internal/digest"

// digestType is the media type of a digest.
const digestType = "application/vnd.cachenode.digest"

const (
	// digestSpare is the room of a snapshot for keys that come later, at least; a
	// quarter of the keys, where that is more.
	digestSpare = 4096
	// rebuildEvery is how often a new snapshot is made, which lacks what has left
	// the store.
	rebuildEvery = 5 * time.Minute
)

// DigestDeps are what a Digest works with.
type DigestDeps struct {
	// Keys calls yield with every key of the store, until that returns false. A
	// key may come twice.
	Keys func(ctx context.Context, yield func(key string) bool) error
	// Allowed reports whether a request to ServeHTTP is a sibling's.
	Allowed func(*http.Request) bool
	Log     *slog.Logger // nil discards
}

// Digest is what this node tells its siblings of the keys it has: a filter that
// grows with the store, and is made anew now and then. It is an http.Handler.
type Digest struct {
	d DigestDeps

	mu      sync.Mutex // guards what follows
	epoch   uint32     // 0: there is no snapshot yet
	filter  *Filter
	added   []uint64 // since the snapshot
	room    int      // how many may be added
	pending []uint64 // added while the next snapshot is made
	making  bool
}

// NewDigest builds a Digest, which is empty before Run.
func NewDigest(d DigestDeps) *Digest {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	return &Digest{d: d}
}

// Version is what changes with the digest; 0: there is none yet.
func (d *Digest) Version() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return versionOf(d.epoch, uint32(len(d.added)))
}

// Add notes a key that has come into the store.
func (d *Digest) Add(key string) {
	sum := Sum(key)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.making {
		d.pending = append(d.pending, sum)
	}
	if d.epoch != 0 && !d.filter.Has(sum) {
		d.filter.Add(sum)
		d.added = append(d.added, sum)
	}
}

// full reports that the snapshot has no room left.
func (d *Digest) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.added) > d.room
}

// Run makes snapshots until ctx ends.
func (d *Digest) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := (time.Time{}); ; {
		if d.full() || time.Since(last) >= rebuildEvery {
			if err := d.Rebuild(ctx); err != nil && ctx.Err() == nil {
				d.d.Log.Warn("digest of the store stays as it is", "error", err)
			}
			last = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Rebuild makes a snapshot of the store. It must not be called while it runs.
func (d *Digest) Rebuild(ctx context.Context) error {
	d.mu.Lock()
	d.making, d.pending = true, nil
	d.mu.Unlock()
	var sums []uint64
	err := d.d.Keys(ctx, func(key string) bool {
		sums = append(sums, Sum(key))
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.making = false
	if err != nil {
		return err
	}
	sums = append(sums, d.pending...)
	d.pending = nil
	slices.Sort(sums)
	sums = slices.Compact(sums)
	d.room = max(digestSpare, len(sums)/4)
	d.filter = NewFilter(len(sums) + d.room)
	for _, sum := range sums {
		d.filter.Add(sum)
	}
	old := d.epoch
	for d.epoch == old || d.epoch == 0 {
		d.epoch = rand.Uint32()
	}
	d.added = nil
	return nil
}

// since is what somebody needs who has a version of the digest: a delta where
// that is shorter.
func (d *Digest) since(have uint64) (update, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoch == 0 {
		return update{}, false
	}
	u := update{kind: kindSnapshot, epoch: d.epoch, count: uint32(len(d.added)), words: d.filter.words}
	if from := uint32(have); uint32(have>>32) == d.epoch && from <= u.count && int(u.count-from) < len(u.words) {
		u.kind, u.from, u.words = kindDelta, from, d.added[from:]
	}
	return u, true
}

// ServeHTTP answers a sibling with a snapshot, or with what is new since the
// version that its query says it has.
func (d *Digest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !d.d.Allowed(r) {
		http.Error(w, "The digest is for siblings.", http.StatusForbidden)
		return
	}
	d.Serve(w, r)
}

// Serve is ServeHTTP for those who are known to be members.
func (d *Digest) Serve(w http.ResponseWriter, r *http.Request) {
	have, _ := strconv.ParseUint(r.URL.Query().Get("have"), 16, 64) // 0: it has none
	u, ok := d.since(have)
	if !ok {
		http.Error(w, "This node is still building its digest.", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", digestType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(u.size()))
	if err := u.writeTo(w); err != nil {
		d.d.Log.Debug("digest not sent", "error", err)
	}
}
