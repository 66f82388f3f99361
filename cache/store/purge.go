package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Match names the objects that a purge drops. Exactly one field is set.
type Match struct {
	URL    string // this key
	Host   string // keys with this host, whatever the scheme and port
	Prefix string // keys that begin with it
	All    bool   // everything
}

var errMatch = errors.New("purge: exactly one of URL, Host, Prefix and All must be set")

// purge makes every object whose id is lower a miss if its key matches.
type purge struct {
	id      uint64
	kind    purgeKind
	pattern string
}

type purgeKind uint8

const (
	purgeURL purgeKind = iota + 1
	purgeHost
	purgePrefix
	purgeAll
)

func (m Match) purge() (purge, error) {
	var p purge
	n := 0
	set := func(ok bool, kind purgeKind, pattern string) {
		if ok {
			n++
			p = purge{kind: kind, pattern: pattern}
		}
	}
	set(m.URL != "", purgeURL, m.URL)
	set(m.Host != "", purgeHost, strings.ToLower(strings.Trim(m.Host, "[]")))
	set(m.Prefix != "", purgePrefix, m.Prefix)
	set(m.All, purgeAll, "")
	if n != 1 {
		return p, errMatch
	}
	return p, nil
}

func (p *purge) matches(key string) bool {
	switch p.kind {
	case purgeURL:
		return key == p.pattern
	case purgeHost:
		return hostOf(key) == p.pattern
	case purgePrefix:
		return strings.HasPrefix(key, p.pattern)
	default:
		return true
	}
}

// hostOf is the host of a key, without port and brackets.
func hostOf(key string) string {
	_, rest, ok := strings.Cut(key, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	if rest, ok = strings.CutPrefix(rest, "["); ok {
		rest, _, _ = strings.Cut(rest, "]")
		return rest
	}
	rest, _, _ = strings.Cut(rest, ":")
	return rest
}

// Purge drops what m matches. When it returns no reader finds any of it, and
// neither a crash nor a power failure brings it back; what takes time is done
// until ctx ends and then behind. n is the number of objects dropped so far.
func (s *Store) Purge(ctx context.Context, m Match) (n int, err error) {
	p, err := m.purge()
	if err != nil {
		return 0, err
	}
	if s.disk != nil {
		// So that what is pending is counted. When it cannot be, it is purged all
		// the same.
		_ = s.disk.settle(ctx)
	}
	p.id = s.ids.next()
	err = s.purges.add(p)
	s.stopFlights(&p)
	if err != nil {
		err = fmt.Errorf("purge: it holds until the next start only: %w", err)
	}
	n = s.purgeMemory(&p)
	if s.disk == nil {
		s.purges.drop(p.id)
		return n, err
	}
	swept, done := s.disk.sweepPurge(ctx, &p)
	if done {
		s.purges.drop(p.id)
		return swept, err
	}
	s.disk.wantSweep()
	return max(n, swept), err
}

// purgeLater makes a purge hold at once and leaves the sweeping to Run.
func (s *Store) purgeLater(p purge) {
	p.id = s.ids.next()
	if err := s.purges.add(p); err != nil {
		s.log.Error("a deletion holds until the next start only", "err", err)
	}
	s.stopFlights(&p)
	s.disk.wantSweep()
}

// stopFlights keeps matching objects that are being written from becoming
// visible.
func (s *Store) stopFlights(p *purge) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for h, f := range sh.flights {
			if p.matches(f.key) {
				f.deleted = true
				delete(sh.flights, h)
			}
		}
		sh.mu.Unlock()
	}
}

// purgeMemory takes matching keys out of the memory tier and returns how many
// objects those were.
func (s *Store) purgeMemory(p *purge) (n int) {
	if s.mem == nil {
		return 0
	}
	for h, e := range s.mem.c.All() {
		if !p.matches(e.key) {
			continue
		}
		sh := s.shard(h)
		sh.mu.Lock()
		sh.gen++
		if now := s.mem.get(h); now != nil {
			young := slices.DeleteFunc(slices.Clone(now.vars), func(v *variant) bool { return v.rec.id < p.id })
			n += len(now.vars) - len(young)
			s.mem.put(h, young)
		}
		sh.mu.Unlock()
	}
	return n
}
