package outdated

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// heard is the batches that a member was given.
type heard struct {
	mu      sync.Mutex // guards all
	batches [][]string
	at      []time.Time
	took    time.Duration // to take a batch
}

func (h *heard) tell(_ context.Context, b []byte) int {
	time.Sleep(h.took)
	keys, err := Parse(b)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		return 1
	}
	h.batches = append(h.batches, keys)
	h.at = append(h.at, time.Now())
	return 0
}

func (h *heard) keys() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.batches {
		all = append(all, b...)
	}
	return all
}

// running runs a Teller in virtual time until the test is over.
func running(t *testing.T, h *heard, do func(*Teller)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		tl := New(h.tell)
		wg.Go(func() {
			if err := tl.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		do(tl)
		cancel()
		wg.Wait()
	})
}

func TestOneKeyIsToldAtOnce(t *testing.T) {
	h := &heard{}
	running(t, h, func(tl *Teller) {
		time.Sleep(time.Hour)
		tl.Tell([]string{"http://a/1", "http://a/2"})
		synctest.Wait()
		if want := []string{"http://a/1", "http://a/2"}; !reflect.DeepEqual(h.keys(), want) {
			t.Errorf("told %v, want %v", h.keys(), want)
		}
	})
}

// A flood is a batch every pace, in which each key is once, and memory for a
// bounded number of keys.
func TestFlood(t *testing.T) {
	h := &heard{}
	running(t, h, func(tl *Teller) {
		begin := time.Now()
		for i := range 20 * waitingKeys { // all at one moment
			tl.Tell([]string{fmt.Sprint("http://a/", i), "http://a/again"})
		}
		time.Sleep(time.Minute)
		st := tl.Stats()
		if st.Told > waitingKeys+batchKeys+2 || st.Told < waitingKeys || st.Told+st.Dropped < 20*waitingKeys {
			t.Errorf("of %d keys: %+v", 20*waitingKeys, st)
		}
		for i, b := range h.batches {
			if len(b) > batchKeys {
				t.Errorf("%d keys in a batch", len(b))
			}
			if i > 0 && h.at[i].Sub(h.at[i-1]) < pace {
				t.Errorf("two batches within %v", h.at[i].Sub(h.at[i-1]))
			}
		}
		if last := h.at[len(h.at)-1].Sub(begin); last > (waitingKeys/batchKeys+2)*pace {
			t.Errorf("the last is told after %v", last)
		}
		tl.Tell([]string{"http://a/after"})
		synctest.Wait()
		if all := h.keys(); all[len(all)-1] != "http://a/after" {
			t.Error("nothing is told after a flood")
		}
	})
}

// A key that comes while a batch with it is on its way is told again: what it
// made invalid may have been stored since.
func TestAgainWhileItIsTold(t *testing.T) {
	h := &heard{took: time.Second}
	running(t, h, func(tl *Teller) {
		tl.Tell([]string{"http://a/"})
		synctest.Wait()
		for range 5 {
			tl.Tell([]string{"http://a/"})
		}
		time.Sleep(time.Minute)
		if n := len(h.keys()); n != 2 {
			t.Errorf("told %d times, want 2", n)
		}
	})
}

func TestLongKeys(t *testing.T) {
	h := &heard{}
	running(t, h, func(tl *Teller) {
		long := strings.Repeat("x", longestKey)
		for i := range 100 {
			tl.Tell([]string{fmt.Sprint(i) + long, fmt.Sprint(i) + long[4:], "http://a/\n" + fmt.Sprint(i)})
		}
		time.Sleep(time.Minute)
		st := tl.Stats()
		if st.Failed != 0 || st.Told < waitingBytes/longestKey-1 || st.Dropped < 200 {
			t.Errorf("%+v", st)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, b := range []string{
		"", "\n", "a", "a\n\n", "a\n\nb\n", strings.Repeat("a\n", batchKeys+1),
		strings.Repeat("a", longestKey+1) + "\n", strings.Repeat(strings.Repeat("a", 8000)+"\n", 40),
	} {
		if keys, err := Parse([]byte(b)); err == nil {
			t.Errorf("%.20q… is read as %d keys", b, len(keys))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("http://a/\nhttp://b/\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := Parse(b)
		if err == nil && !bytes.Equal(appendKeys(nil, keys), b) {
			t.Errorf("%q is read as %q", b, keys)
		}
	})
}
