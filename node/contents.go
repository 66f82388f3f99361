package node

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/internal/metrics"
)

// cacheStats are the numbers of the store.
func (n *Node) cacheStats() metrics.CacheStats {
	s := n.store.Stats()
	return metrics.CacheStats{
		Objects: s.Objects, Bytes: s.Used, Capacity: s.Capacity,
		MemObjects: int64(s.MemoryObjects), MemBytes: s.MemoryBytes, MemCapacity: s.MemoryCapacity,
		Evictions: s.Evictions, Corrupt: s.Corrupt, Writes: s.SwapOuts, Reads: s.SwapIns, Removed: s.Evictions,
		ReadOnly: s.ReadOnly,
	}
}

// Purge removes stored objects. URLs are taken as a client would ask for them.
func (v view) Purge(ctx context.Context, p admin.Purge) (admin.PurgeResult, error) {
	if err := p.Validate(); err != nil {
		return admin.PurgeResult{}, badPurge(err)
	}
	m := store.Match{Host: p.Host, All: p.All}
	for _, u := range []struct {
		given string
		key   *string
	}{{p.URL, &m.URL}, {p.Prefix, &m.Prefix}} {
		if u.given == "" {
			continue
		}
		key, err := keyOfURL(u.given)
		if err != nil {
			return admin.PurgeResult{}, badPurge(err)
		}
		*u.key = key
	}
	v.n.proxy.Unshare() // what is on its way shall not be stored after
	removed, err := v.n.store.Purge(ctx, m)
	v.n.proxy.Unshare() // nor what began meanwhile be joined
	return admin.PurgeResult{Objects: int64(removed)}, err
}

func keyOfURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("%q is not a URL: %w", s, err)
	}
	if u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("%q is not an absolute http or https URL", s)
	}
	return cache.Key(u), nil
}

func badPurge(err error) error {
	return &admin.Error{Status: http.StatusBadRequest, Message: "purge: " + err.Error()}
}
