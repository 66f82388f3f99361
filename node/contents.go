package node

import (
	"context"

	"github.com/cachenode/cachenode/admin"
	"github.com/cachenode/cachenode/internal/metrics"
)

// cacheStats are the numbers of the store.
func (n *Node) cacheStats() metrics.CacheStats { return metrics.CacheStats{} }

// Purge removes stored objects.
func (v view) Purge(_ context.Context, p admin.Purge) (admin.PurgeResult, error) {
	return admin.PurgeResult{}, p.Validate()
}
