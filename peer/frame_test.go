package peer

import (
	"bytes"
	"testing"
	"time"
)

func testRing(t testing.TB, names ...string) *ring {
	t.Helper()
	name := "lab"
	if len(names) > 0 {
		name = names[0]
	}
	r, err := newRing(NewIdentity(name, time.Now()))
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

// exchange carries what follows from a frame back and forth and returns the
// last verdict of the receiver.
func exchange(from, to *sessions, f frame, now time.Time) verdict {
	v, back := to.receive(&f, now)
	for v == reply {
		v2, answer := from.receive(&back, now)
		if v2 != reply {
			return v
		}
		v, back = to.receive(&answer, now)
	}
	return v
}

func TestReplayedDatagrams(t *testing.T) {
	now := time.Now()
	a, b := newSessions(), newSessions()
	first := a.next([]byte("1"))
	exchange(a, b, first, now)
	if v, _ := b.receive(&first, now); v != replayed {
		t.Errorf("what came before the proof: verdict %d", v)
	}
	second := a.next([]byte("2"))
	if v, _ := b.receive(&second, now); v != deliver {
		t.Errorf("verdict %d", v)
	}
	if v, _ := b.receive(&second, now); v != replayed {
		t.Errorf("again: verdict %d", v)
	}
	// The receiver starts anew and knows nothing.
	b = newSessions()
	if exchange(a, b, second, now); b.met[a.own] == nil || !b.met[a.own].proven {
		t.Error("the sender, who is there, is not believed")
	}
	if v, _ := b.receive(&second, now); v != replayed {
		t.Errorf("after a restart: verdict %d", v)
	}
	// Both do: the session of the record is over.
	again, b := newSessions(), newSessions()
	for range 100 {
		now = now.Add(time.Second)
		if v := exchange(again, b, second, now); v == deliver {
			t.Fatal("a recorded packet is taken after a restart of both ends")
		}
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
