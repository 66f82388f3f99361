// Package purges keeps what was purged in a cluster, so that a node that was away
// can make up for it. A log is a set: members exchange what the other lacks, in
// any order and as often as they like. It does not know how to purge.
package purges

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Name of the file in the data directory.
const Name = "purges.json"

const (
	// Kept is how long a purge is remembered. A node that was away longer drops
	// everything when it returns.
	Kept = 30 * 24 * time.Hour
	// maxEntries bounds the log; beyond it the oldest are forgotten as if they
	// were past Kept.
	maxEntries = 10_000
	// slack is what the clocks of members may differ by.
	slack = 10 * time.Minute
)

// Purge is one purge: what it selects, and who made it when. Exactly one of URL,
// Host, Prefix and All is set.
type Purge struct {
	ID     string    `json:"id"` // unique for ever
	At     time.Time `json:"at"`
	By     string    `json:"by"` // name of the node that was asked
	URL    string    `json:"url,omitempty"`
	Host   string    `json:"host,omitempty"`
	Prefix string    `json:"prefix,omitempty"`
	All    bool      `json:"all,omitempty"`
}

// valid reports whether p selects something, in one way.
func (p *Purge) valid() bool {
	n := 0
	for _, set := range []bool{p.URL != "", p.Host != "", p.Prefix != "", p.All} {
		if set {
			n++
		}
	}
	return n == 1 && p.ID != "" && len(p.ID) <= 64
}

// State is a log as members exchange it.
type State struct {
	// Horizon is the time before which purges may be missing.
	Horizon time.Time `json:"horizon,omitzero"`
	Purges  []Purge   `json:"purges"`
}

// Log is the purges that this node has carried out. It may be used from many
// goroutines.
type Log struct {
	path string // empty: it is not kept

	mu      sync.Mutex // guards below
	horizon time.Time
	synced  time.Time // when nothing was missing; zero: never
	done    map[string]Purge
	save    sync.Mutex // held while the file is written
}

// file is the form in the data directory.
type file struct {
	State
	Synced time.Time `json:"synced,omitzero"`
}

// Open reads the log in dir; an empty dir keeps it in memory. A log that cannot
// be read is begun anew, which the error says: the next Missing is everything.
func Open(dir string) (*Log, error) {
	l := &Log{done: map[string]Purge{}}
	if dir == "" {
		return l, nil
	}
	l.path = filepath.Join(dir, Name)
	b, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	var f file
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		l.synced = time.Unix(0, 0) // long ago
		return l, fmt.Errorf("read the log of purges: %w", err)
	}
	l.horizon, l.synced = f.Horizon, f.Synced
	for _, p := range f.Purges {
		l.done[p.ID] = p
	}
	return l, nil
}

// Done takes note that p was carried out.
func (l *Log) Done(p Purge, now time.Time) error {
	l.mu.Lock()
	l.done[p.ID] = p
	l.expire(now)
	l.mu.Unlock()
	return l.write()
}

// Has reports whether a purge was carried out.
func (l *Log) Has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.done[id]
	return ok
}

// State is what another member may lack.
func (l *Log) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state()
}

func (l *Log) state() State {
	s := State{Horizon: l.horizon, Purges: make([]Purge, 0, len(l.done))}
	for _, p := range l.done {
		s.Purges = append(s.Purges, p)
	}
	slices.SortFunc(s.Purges, func(a, b Purge) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return s
}

// Missing lists what of another member's log was not carried out here, oldest
// first. If that log does not reach back to when this node was last in step, it
// is a purge of everything.
func (l *Log) Missing(theirs State, now time.Time) []Purge {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.synced.IsZero() && theirs.Horizon.After(l.synced.Add(-slack)) {
		return []Purge{{ID: "away-" + theirs.Horizon.UTC().Format("20060102T150405"), At: now, By: "absence", All: true}}
	}
	var list []Purge
	for _, p := range theirs.Purges {
		if _, ok := l.done[p.ID]; !ok && p.valid() && p.At.After(l.horizon) {
			list = append(list, p)
		}
	}
	return list
}

// InStep takes note that nothing is missing now; theirs has been carried out.
func (l *Log) InStep(theirs State, now time.Time) error {
	l.mu.Lock()
	for _, p := range theirs.Purges {
		if p.valid() && p.At.After(l.horizon) {
			l.done[p.ID] = p
		}
	}
	l.synced = now
	l.expire(now)
	l.mu.Unlock()
	return l.write()
}

// expire forgets the oldest. The caller holds mu.
func (l *Log) expire(now time.Time) {
	limit := now.Add(-Kept)
	if extra := len(l.done) - maxEntries; extra > 0 {
		if at := l.state().Purges[extra-1].At; at.After(limit) {
			limit = at
		}
	}
	for id, p := range l.done {
		if !p.At.After(limit) {
			delete(l.done, id)
			if l.horizon.Before(p.At) {
				l.horizon = p.At
			}
		}
	}
}

// write keeps the log in its file.
func (l *Log) write() error {
	if l.path == "" {
		return nil
	}
	l.save.Lock()
	defer l.save.Unlock()
	l.mu.Lock()
	f := file{State: l.state(), Synced: l.synced}
	l.mu.Unlock()
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(l.path), "."+Name+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the log of purges: %w", err)
	}
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), l.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep the log of purges: %w", err), os.Remove(tmp.Name()))
	}
	return nil
}
