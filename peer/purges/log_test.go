package purges

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var t0 = time.Unix(1763634000, 0).UTC()

func at(d time.Duration) time.Time { return t0.Add(d) }

func open(t *testing.T, dir string) *Log {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNodeThatWasAwayCatchesUp(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, ""), open(t, dir)
	must(t, a.Done(Purge{ID: "1", At: at(0), URL: "http://x/"}, at(0)))
	must(t, b.Done(Purge{ID: "1", At: at(0), URL: "http://x/"}, at(0)))
	must(t, b.InStep(a.State(), at(time.Second)))
	must(t, a.Done(Purge{ID: "3", At: at(3 * time.Second), Host: "h"}, at(3*time.Second)))
	must(t, a.Done(Purge{ID: "2", At: at(2 * time.Second), All: true}, at(3*time.Second)))

	b = open(t, dir) // it returns
	missing := b.Missing(a.State(), at(time.Hour))
	if len(missing) != 2 || missing[0].ID != "2" || missing[1].Host != "h" {
		t.Fatalf("missing %+v", missing)
	}
	must(t, b.InStep(a.State(), at(time.Hour)))
	if again := open(t, dir).Missing(a.State(), at(time.Hour)); len(again) != 0 {
		t.Errorf("still missing %+v", again)
	}
}

func TestAwayForTooLongMeansEverything(t *testing.T) {
	a, b := open(t, ""), open(t, "")
	must(t, b.InStep(a.State(), at(0)))
	must(t, a.Done(Purge{ID: "1", At: at(time.Hour), Host: "h"}, at(time.Hour)))
	must(t, a.Done(Purge{ID: "2", At: at(Kept + 2*time.Hour), Host: "i"}, at(Kept+2*time.Hour)))
	missing := b.Missing(a.State(), at(Kept+3*time.Hour))
	if len(missing) != 1 || !missing[0].All {
		t.Fatalf("missing %+v", missing)
	}
	must(t, b.InStep(a.State(), at(Kept+3*time.Hour)))
	if missing := b.Missing(a.State(), at(Kept+4*time.Hour)); len(missing) != 0 {
		t.Errorf("then missing %+v", missing)
	}
	// A node that is new has nothing that would be too old.
	if missing := open(t, "").Missing(a.State(), at(Kept)); len(missing) != 1 || missing[0].All {
		t.Errorf("a new node: %+v", missing)
	}
}

func TestLogIsBounded(t *testing.T) {
	l := open(t, "")
	for i := range maxEntries + 50 {
		l.mu.Lock()
		id := fmt.Sprint(i)
		l.done[id] = Purge{ID: id, At: at(time.Duration(i) * time.Second), Host: "h"}
		l.mu.Unlock()
	}
	must(t, l.Done(Purge{ID: "last", At: at(24 * time.Hour), All: true}, at(24*time.Hour)))
	s := l.State()
	if len(s.Purges) > maxEntries || s.Horizon.IsZero() || !l.Has("last") || l.Has("0") {
		t.Errorf("%d purges, horizon %v", len(s.Purges), s.Horizon)
	}
}

func TestDamagedLogMeansEverything(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, Name), []byte("{"), 0o600))
	l, err := Open(dir)
	if err == nil {
		t.Error("no error")
	}
	theirs := State{Horizon: at(0), Purges: []Purge{{ID: "1", At: at(0), All: true}}}
	if missing := l.Missing(theirs, at(0)); len(missing) != 1 || !missing[0].All {
		t.Errorf("missing %+v", missing)
	}
}

func TestNonsenseIsSkipped(t *testing.T) {
	l := open(t, "")
	theirs := State{Purges: []Purge{{ID: "", All: true}, {ID: "1"}, {ID: "2", At: at(0), All: true, Host: "h"}}}
	if missing := l.Missing(theirs, at(0)); len(missing) != 0 {
		t.Errorf("missing %+v", missing)
	}
}
