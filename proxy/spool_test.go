package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cachenode/cachenode/cache"
)

// memWriter is a store's writer that takes limit bytes and then fails.
type memWriter struct {
	mu    sync.Mutex // guards b
	b     []byte
	limit int
}

func (w *memWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(p), w.limit-len(w.b))
	w.b = append(w.b, p[:n]...)
	if n < len(p) {
		return n, cache.ErrFull
	}
	return n, nil
}

// Reserve offers its room in small parts.
func (w *memWriter) Reserve(n int) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n = min(n, w.limit-len(w.b), 1000); n <= 0 {
		return nil
	}
	w.b = slices.Grow(w.b, n)
	return w.b[len(w.b) : len(w.b)+n]
}

func (w *memWriter) Advance(k int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = w.b[:len(w.b)+k]
}

func (w *memWriter) Bytes(off int64) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b[min(off, int64(len(w.b))):]
}

func (w *memWriter) ReadAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.NewReader(w.b).ReadAt(p, off)
}

func (*memWriter) Commit(*cache.Meta) error { return nil }
func (*memWriter) Close()                   {}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func readAll(r *spoolReader, off int64, step int) ([]byte, error) {
	var got []byte
	buf := make([]byte, step)
	for {
		n, err := r.ReadAt(buf, off)
		got = append(got, buf[:n]...)
		off += int64(n)
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return got, err
		}
	}
}

// Every reader sees every byte, however the body is kept.
func TestSpoolDelivers(t *testing.T) {
	body := pattern(300_000)
	for name, w := range map[string]cache.Writer{
		"stored":            &memWriter{limit: 1 << 30},
		"not stored":        nil,
		"store fails early": &memWriter{limit: 10},
		"store fails late":  &memWriter{limit: 200_000},
	} {
		t.Run(name, func(t *testing.T) {
			s := &spool{w: w, size: 4 << 10}
			ctx := t.Context()
			var wg sync.WaitGroup
			for i := range 5 {
				off := int64(i * 1000)
				r := s.attach(ctx, off)
				wg.Go(func() {
					defer r.detach()
					got, err := readAll(r, off, 700+i*999)
					if err != nil || !bytes.Equal(got, body[off:]) {
						t.Errorf("reader %d: %d bytes, %v", i, len(got), err)
					}
				})
			}
			for rest := body; len(rest) > 0; {
				n := min(len(rest), 3333)
				if err := s.write(ctx, rest[:n], false); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			s.finish(nil)
			wg.Wait()
			if w == nil && s.attach(ctx, 0) != nil {
				t.Error("a reader was attached to bytes that are forgotten")
			}
		})
	}
}

// What is held is not seen before the end.
func TestSpoolHold(t *testing.T) {
	s := &spool{w: &memWriter{limit: 100}, size: 64}
	r := s.attach(t.Context(), 0)
	if err := s.write(t.Context(), []byte("abc"), true); err != nil {
		t.Fatal(err)
	}
	if s.shown != 0 {
		t.Fatalf("%d bytes are shown", s.shown)
	}
	s.finish(nil)
	if got, err := readAll(r, 0, 10); err != nil || string(got) != "abc" {
		t.Fatalf("%q, %v", got, err)
	}
}

// A failed fetch fails its readers, and a client that left waits no longer.
func TestSpoolEnds(t *testing.T) {
	s := &spool{size: 64}
	r := s.attach(t.Context(), 0)
	if err := s.write(t.Context(), []byte("abc"), false); err != nil {
		t.Fatal(err)
	}
	s.finish(io.ErrUnexpectedEOF)
	if _, err := readAll(r, 0, 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = &spool{size: 64}
	if _, err := readAll(s.attach(ctx, 0), 0, 10); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s = &spool{size: 8}
	s.attach(t.Context(), 0)
	if err := s.write(ctx, []byte("123456789"), false); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// Nothing is forgotten before the first reader came, and no byte is overwritten
// under one that came late.
func TestR0001_SpoolWaitsForItsFirstReader(t *testing.T) {
	for _, off := range []int64{0, 50_000} {
		waitForFirstReader(t, off)
	}
}

func waitForFirstReader(t *testing.T, off int64) {
	t.Helper()
	body := pattern(100_000)
	s := &spool{size: 4 << 10}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.write(t.Context(), body, false); err != nil {
			t.Error(err)
		}
		s.finish(nil)
	})
	for full := false; !full; {
		s.mu.Lock()
		full = s.end == int64(s.size)
		s.mu.Unlock()
	}
	if off > 0 { // the fetch waits already when the range that is wanted is far ahead
		time.Sleep(time.Millisecond)
	}
	r := s.attach(t.Context(), off)
	if r == nil {
		t.Fatal("the beginning is gone")
	}
	got, err := readAll(r, off, 1000)
	if err != nil || !bytes.Equal(got, body[off:]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	wg.Wait()
}

// Readers that come and go at any time while the ring turns see right bytes or none.
func TestSpoolLateReaders(t *testing.T) {
	body := pattern(2_000_000)
	s := &spool{size: 4 << 10, w: &memWriter{limit: 10_000}}
	first := s.attach(t.Context(), 0)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for !s.whole() {
				s.mu.Lock()
				off := max(0, s.end-int64(i)*1400)
				s.mu.Unlock()
				r := s.attach(t.Context(), off)
				if r == nil {
					continue
				}
				buf := make([]byte, 3000)
				if n, err := r.ReadAt(buf, off); !bytes.Equal(buf[:n], body[off:off+int64(n)]) || n == 0 && !errors.Is(err, io.EOF) {
					t.Errorf("%d bytes at %d are wrong, or %v", n, off, err)
				}
				r.detach()
			}
		})
	}
	wg.Go(func() {
		defer first.detach()
		if got, err := readAll(first, 0, 900); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	if err := s.write(t.Context(), body, false); err != nil {
		t.Fatal(err)
	}
	s.finish(nil)
	wg.Wait()
}

// What is put into the store's room is seen by readers where it lies, and in its
// order among what is written.
func TestSpoolRoom(t *testing.T) {
	body := pattern(10_000)
	s := &spool{w: &memWriter{limit: 8_000}, size: 4 << 10}
	r := s.attach(t.Context(), 0)
	var got []byte
	done := make(chan error, 1)
	go func() {
		for {
			b, err := r.View(int64(len(got)))
			if len(b) == 0 && err == nil {
				b = make([]byte, 700)
				var n int
				n, err = r.ReadAt(b, int64(len(got)))
				b = b[:n]
			}
			if got = append(got, b...); err != nil {
				done <- err
				return
			}
		}
	}()
	for off := 0; off < len(body); {
		rest := body[off:]
		if room := s.room(int64(len(rest))); room != nil {
			n := copy(room, rest)
			s.advance(n, false)
			off += n
			continue
		}
		n := min(len(rest), 999)
		if err := s.write(t.Context(), rest[:n], false); err != nil {
			t.Fatal(err)
		}
		off += n
	}
	s.finish(nil)
	if err := <-done; !errors.Is(err, io.EOF) || !bytes.Equal(got, body) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}
