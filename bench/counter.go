package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/cachenode/cachenode/bench/origin"
)

// counter reads what the origin counts of this run.
type counter interface {
	counts(ctx context.Context) (origin.Counts, error)
	// behind is how far the origin's clock is behind ours.
	behind(ctx context.Context) (time.Duration, error)
	known() bool
}

type ownOrigin struct {
	server *origin.Server
	class  string
}

func (o ownOrigin) counts(context.Context) (origin.Counts, error) {
	return o.server.Counts(o.class), nil
}
func (ownOrigin) behind(context.Context) (time.Duration, error) { return 0, nil }
func (ownOrigin) known() bool                                   { return true }

type noOrigin struct{}

func (noOrigin) counts(context.Context) (origin.Counts, error) { return origin.Counts{}, nil }
func (noOrigin) behind(context.Context) (time.Duration, error) { return 0, nil }
func (noOrigin) known() bool                                   { return false }

// remoteOrigin asks an origin on another machine, past the proxy.
type remoteOrigin struct{ address, class string }

func (remoteOrigin) known() bool { return true }

func (o remoteOrigin) counts(ctx context.Context) (origin.Counts, error) {
	s, err := o.stats(ctx)
	return s.Classes[o.class], err
}

func (o remoteOrigin) behind(ctx context.Context) (time.Duration, error) {
	before := time.Now()
	s, err := o.stats(ctx)
	if err != nil {
		return 0, &hinted{err: err, hint: "start it there with 'cachenode bench origin --listen " + o.address + "'"}
	}
	middle := before.Add(time.Since(before) / 2)
	return middle.Sub(time.Unix(0, s.Clock)), nil
}

func (o remoteOrigin) stats(ctx context.Context) (s origin.Stats, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.address+"/stats", nil)
	if err != nil {
		return s, err
	}
	t := &http.Transport{DisableKeepAlives: true} // no proxy, not even of the environment
	res, err := t.RoundTrip(req)
	if err != nil {
		return s, fmt.Errorf("ask the origin for its counts: %w", err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 1<<20)).Decode(&s); err != nil {
		return s, fmt.Errorf("read the counts of the origin %s: %w", o.address, err)
	}
	return s, nil
}
