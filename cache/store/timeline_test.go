package store

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/internal/units"
)

// What was stored before a restart is as old as it was, and older by the time in
// between as far as that is known, wherever the clock stands.
func TestClockIsSetBetweenStarts(t *testing.T) {
	noon := time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)
	policy, err := cache.NewPolicy(cache.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	const key = "http://example.com/a"
	for _, tt := range []struct {
		name   string
		clocks []time.Duration // at each start, from noon; the response came half an hour before the first
		least  time.Duration   // its age five minutes after the last
		most   time.Duration
	}{
		{"no step", []time.Duration{0, time.Hour}, 95 * time.Minute, 95 * time.Minute},
		{"back by hours", []time.Duration{0, -3 * time.Hour}, 35 * time.Minute, 40 * time.Minute},
		{"back by years", []time.Duration{0, -30 * 365 * 24 * time.Hour}, 35 * time.Minute, 40 * time.Minute},
		{"back by a little", []time.Duration{0, -20 * time.Minute}, 35 * time.Minute, 40 * time.Minute},
		{"forth", []time.Duration{0, 5 * time.Hour}, 335 * time.Minute, 335 * time.Minute},
		{"back, and on from there", []time.Duration{0, -3 * time.Hour, -2 * time.Hour}, 95 * time.Minute, 100 * time.Minute},
		{"back and forth", []time.Duration{0, -3 * time.Hour, time.Hour}, 95 * time.Minute, 280 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := DefaultOptions()
			o.Dir, o.Memory, o.Disk = t.TempDir(), 0, 64*units.MiB
			var now time.Time
			for i, offset := range tt.clocks {
				now = noon.Add(offset)
				s, err := open(o, slog.New(slog.DiscardHandler), func() time.Time { return now })
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					store(t, s, key, now.Add(-30*time.Minute))
				}
				now = now.Add(5 * time.Minute)
				if i == len(tt.clocks)-1 {
					found := s.Lookup(key)
					if len(found) != 1 {
						t.Fatalf("%d are found", len(found))
					}
					d := policy.Reuse(cache.NewRequest("GET", key, nil), found[0].Meta(), now)
					if d.Age < tt.least || d.Age > tt.most || (d.Verdict == cache.Hit) != (d.Age < time.Hour) {
						t.Errorf("age %v, verdict %v (%s), want %v to %v", d.Age, d.Verdict, d.Reason, tt.least, tt.most)
					}
					found[0].Release()
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// store stores a response that is fresh for an hour.
func store(t *testing.T, s *Store, key string, received time.Time) {
	t.Helper()
	m := &cache.Meta{
		Key: key, Status: 200, Length: 4, Total: 4, Requested: received, Received: received,
		Header: map[string][]string{"Cache-Control": {"max-age=3600"}, "Etag": {`"a"`}},
	}
	w, err := s.Create(m)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Write([]byte("body")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(m); err != nil {
		t.Fatal(err)
	}
}

// Within one start, times come back from the index by the monotonic clock.
func TestTimelineIsMonotonic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		line := resume(start, moment{})
		time.Sleep(time.Hour)
		received := time.Now()
		m := &cache.Meta{Key: "http://example.com/", Received: received, Requested: received}
		e, err := parseRecords(appendRecords(nil, []*variant{{rec: record{meta: m}}}, &line), &line)
		if err != nil {
			t.Fatal(err)
		}
		back := e.vars[0].rec.meta
		if back.Steady != received { //nolint:staticcheck // the readings are meant
			t.Errorf("%v comes back as %v", received, back.Steady)
		}
		if back.Received != received.Round(0) && !back.Received.Equal(received) {
			t.Errorf("%v was received at %v", received, back.Received)
		}
	})
}
