package peer

import (
	"bytes"
	"testing"
	"time"
)

func testRing(t testing.TB) *ring {
	t.Helper()
	r, err := newRing(NewIdentity("lab", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFramesNeedTheKey(t *testing.T) {
	ours, theirs := testRing(t), testRing(t)
	b := appendFrame([]byte("before"), &frame{kind: kindData, session: 1, number: 2, payload: []byte("packet")}, ours)[6:]
	body, ok := ours.open(b)
	if !ok {
		t.Fatal("our own frame does not open")
	}
	f, err := parseFrame(body)
	if err != nil || f.session != 1 || f.number != 2 || !bytes.Equal(f.payload, []byte("packet")) {
		t.Errorf("%+v, %v", f, err)
	}
	if _, ok := theirs.open(b); ok {
		t.Error("another key opens it")
	}
	for i := range b {
		bent := bytes.Clone(b)
		bent[i] ^= 1
		if _, ok := ours.open(bent); ok {
			t.Errorf("opens with byte %d changed", i)
		}
	}
}

func TestWindowTakesEachNumberOnce(t *testing.T) {
	var w window
	for _, n := range []uint64{1, 3, 2, 64, 63, 200, 5000, 4999, 5000 - windowSize + 1, 9000} {
		if !w.take(n) {
			t.Errorf("%d is refused", n)
		}
		if w.take(n) {
			t.Errorf("%d is taken twice", n)
		}
	}
	for _, n := range []uint64{1, 200, 5000, 9000 - windowSize} {
		if w.take(n) {
			t.Errorf("%d is taken although it is old", n)
		}
	}
}

func TestWindowBegins(t *testing.T) {
	for _, top := range []uint64{0, 1, 63, 64, 1000, 1023, 1024, 5000} {
		var w window
		w.begin(top)
		for n := uint64(0); n <= top; n++ {
			if w.take(n) {
				t.Fatalf("begun at %d, %d is taken", top, n)
			}
		}
		for n := top + 1; n < top+3000; n++ {
			if !w.take(n) || w.take(n) {
				t.Fatalf("begun at %d, %d is not taken once", top, n)
			}
		}
	}
}

// exchange carries a frame, and what follows from it, back and forth, and
// returns the packets that the receiver takes.
func exchange(from, to *sessions, f frame, now time.Time) (taken []string) {
	v, back, packets := to.receive(&f, now)
	for v == reply {
		v2, answer, _ := from.receive(&back, now)
		if v2 != reply {
			return nil
		}
		v, back, packets = to.receive(&answer, now)
	}
	if v == deliver {
		for _, p := range packets {
			taken = append(taken, string(p))
		}
	}
	return taken
}

func TestReplayedDatagrams(t *testing.T) {
	now := time.Now()
	a, b := newSessions(), newSessions()
	first, second := a.next([]byte("1")), a.next([]byte("2"))
	if got := exchange(a, b, first, now); len(got) != 1 || got[0] != "1" {
		t.Errorf("the first packet: %q", got)
	}
	if v, _, _ := b.receive(&first, now); v != replayed {
		t.Errorf("the first packet again: verdict %d", v)
	}
	third := a.next([]byte("3"))
	if v, _, p := b.receive(&third, now); v != deliver || string(p[0]) != "3" {
		t.Errorf("verdict %d", v)
	}
	if v, _, _ := b.receive(&third, now); v != replayed {
		t.Errorf("again: verdict %d", v)
	}
	if v, _, _ := b.receive(&second, now); v != replayed {
		t.Errorf("from before the proof: verdict %d", v)
	}
	// Both ends start anew: the session of the record is over.
	again, b := newSessions(), newSessions()
	for range 100 {
		now = now.Add(time.Second)
		if got := exchange(again, b, third, now); got != nil {
			t.Fatal("a recorded packet is taken after a restart of both ends")
		}
	}
}

// What comes before the proof waits for it, each packet once.
func TestPacketsWaitForTheProof(t *testing.T) {
	now := time.Now()
	a, b := newSessions(), newSessions()
	one, two := a.next([]byte("1")), a.next([]byte("2"))
	_, challenge, _ := b.receive(&one, now)
	b.receive(&two, now)
	b.receive(&two, now)
	_, answer, _ := a.receive(&challenge, now)
	late := a.next([]byte("3"))
	b.receive(&late, now)
	v, _, packets := b.receive(&answer, now)
	if v != deliver || len(packets) != 3 {
		t.Errorf("verdict %d, %q", v, packets)
	}
	for _, f := range []frame{one, two, late} {
		if v, _, _ := b.receive(&f, now); v != replayed {
			t.Errorf("%s again: verdict %d", f.payload, v)
		}
	}
	if v, _, _ := b.receive(&answer, now); v != replayed || b.held != 0 {
		t.Errorf("the answer again: verdict %d, %d held", v, b.held)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s, now := newSessions(), time.Now()
	for i := range uint64(3 * maxSessions) {
		s.receive(&frame{kind: kindData, session: i, number: 1}, now)
	}
	if len(s.met) > maxSessions {
		t.Errorf("%d sessions", len(s.met))
	}
	now = now.Add(time.Hour)
	s.receive(&frame{kind: kindData, session: 1 << 60, number: 1}, now)
	if len(s.met) > 10 {
		t.Errorf("%d sessions after an hour of silence", len(s.met))
	}
}

func FuzzParseFrame(f *testing.F) {
	r := testRing(f)
	s := newSessions()
	first := s.next([]byte("packet"))
	f.Add(appendFrame(nil, &first, r))
	f.Add([]byte{frameMagic, kindAnswer})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := r.open(b); ok && !bytes.Equal(b, appendFrame(nil, &first, r)) {
			t.Fatal("forged")
		}
		if fr, err := parseFrame(b); err == nil {
			newSessions().receive(&fr, time.Time{})
		}
	})
}
