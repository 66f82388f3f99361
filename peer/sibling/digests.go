package sibling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// AnyVersion is the Digest of a sibling whose version nobody tells: it is asked
// for what is new each time.
const AnyVersion = ^uint64(0)

// digestTime bounds the fetch of one digest.
const digestTime = 20 * time.Second

// digests are what is known of one sibling's digest.
type digests struct {
	filter   *Filter // nil: none
	version  uint64  // of filter
	fetching bool
	trouble  quarantine // fetches that failed
}

// wanted reports whether the digest of s is to be fetched now.
func (g *digests) wanted(s *Sibling, now time.Time) bool {
	if s.Digest == 0 {
		g.filter, g.version = nil, 0
		return false
	}
	return !g.fetching && s.Digest != g.version && (!g.trouble.on || g.trouble.due(now))
}

// apply takes what was fetched; false when it does not fit what is there.
func (g *digests) apply(u update) bool {
	switch {
	case u.kind == kindSnapshot:
		g.filter = &Filter{words: u.words}
	case g.filter == nil || versionOf(u.epoch, u.from) != g.version:
		return false
	default:
		for _, sum := range u.words {
			g.filter.Add(sum)
		}
	}
	g.version = u.version()
	return true
}

// updateDigests returns whose digests are to be fetched, and marks them.
func (f *Finder) updateDigests(now time.Time) (due []Sibling) {
	if f.o.Lookup == LookupICP || f.d.FetchDigest == nil {
		return nil
	}
	list := f.d.Siblings()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range list {
		if p := f.peer(&list[i]); p.digests.wanted(&list[i], now) {
			p.digests.fetching = true
			due = append(due, list[i])
		}
	}
	return due
}

// fetchDigest brings the digest of a sibling up to date.
func (f *Finder) fetchDigest(ctx context.Context, s Sibling) {
	f.mu.Lock()
	have := f.peer(&s).digests.version
	f.mu.Unlock()
	u, err := f.requestDigest(ctx, s, have)
	f.mu.Lock()
	g := &f.peer(&s).digests
	g.fetching = false
	if err == nil && !g.apply(u) {
		err = fmt.Errorf("delta of %x to version %x does not fit", u.version(), g.version)
		g.filter, g.version = nil, 0
	}
	first := false
	if err == nil {
		g.trouble.leave()
	} else {
		first = g.trouble.enter(f.d.Clock())
	}
	f.mu.Unlock()
	if first && ctx.Err() == nil {
		f.d.Log.Info("digest of a sibling cannot be had: it is asked by ICP", "sibling", s.Name, "error", err)
	}
}

func (f *Finder) requestDigest(ctx context.Context, s Sibling, have uint64) (update, error) {
	ctx, cancel := context.WithTimeout(ctx, digestTime)
	defer cancel()
	body, err := f.d.FetchDigest(ctx, s, have)
	if err != nil {
		return update{}, err
	}
	defer body.Close() //nolint:errcheck // it was only read
	return readUpdate(body, int(f.o.DigestMemory))
}

// GetDigest is a FetchDigest over plain HTTP, from the port of the sibling's
// proxy.
func GetDigest(ctx context.Context, c *http.Client, s Sibling, have uint64) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Proxy+DigestPath+DigestQuery(have), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("status %s", resp.Status), resp.Body.Close())
	}
	return resp.Body, nil
}

// DigestQuery says in a request for a digest which version is there already.
func DigestQuery(have uint64) string { return "?have=" + strconv.FormatUint(have, 16) }
