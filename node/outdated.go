package node

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cachenode/cachenode/peer/outdated"
)

const (
	pathOutdated = "/outdated"
	// outdatedTime bounds the wait for a member to take a batch. One that does not
	// answer by then is passed over: it validates when its responses are stale.
	outdatedTime = time.Second
)

// invalidation is what unsafe requests made invalid, told and heard.
type invalidation struct {
	teller *outdated.Teller // nil: standalone
	heard  atomic.Uint64    // keys that others have told
}

func (n *Node) openInvalidation() {
	n.invalid.teller = outdated.New(n.tellOutdated)
	n.cluster.Handle(pathOutdated, http.HandlerFunc(n.hearOutdated))
}

// tellOutdated gives a batch to all other members at a time.
func (n *Node) tellOutdated(ctx context.Context, batch []byte) (failed int) {
	ctx, cancel := context.WithTimeout(ctx, outdatedTime)
	defer cancel()
	others := n.cluster.View().Others()
	errs := make([]error, len(others))
	var wg sync.WaitGroup
	for i := range others {
		wg.Go(func() { _, errs[i] = n.cluster.Call(ctx, &others[i], pathOutdated, batch) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			failed++
			n.log.Debug("tell a member what is outdated", "member", others[i].Name, "error", err)
		}
	}
	return failed
}

// hearOutdated drops what another member has told.
func (n *Node) hearOutdated(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, outdated.MaxBatch))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	keys, err := outdated.Parse(b)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.proxy.Outdate(keys)
	n.invalid.heard.Add(uint64(len(keys)))
	w.WriteHeader(http.StatusNoContent)
}

// invalidations are the numbers of it, by what became of keys and batches.
func (n *Node) invalidations() map[string]uint64 {
	t := n.invalid.teller.Stats()
	return map[string]uint64{"told": t.Told, "heard": n.invalid.heard.Load(), "dropped": t.Dropped, "failed": t.Failed}
}
