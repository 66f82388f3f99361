package sibling

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func keys(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf("http://example.com/path/%d", i))
	}
	return list
}

// holding is a Digest of a store with these keys.
func holding(t testing.TB, list []string) *Digest {
	t.Helper()
	d := NewDigest(DigestDeps{
		Keys: func(_ context.Context, yield func(string) bool) error {
			for _, k := range list {
				if !yield(k) {
					break
				}
			}
			return nil
		},
		Allowed: func(*http.Request) bool { return true },
	})
	if err := d.Rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	return d
}

func falseHits(f *Filter, n int) float64 {
	wrong := 0
	for _, k := range keys(1<<30, 1<<30+n) {
		if f.Has(Sum(k)) {
			wrong++
		}
	}
	return float64(wrong) / float64(n)
}

func TestFilter(t *testing.T) {
	list := keys(0, 20_000)
	f := NewFilter(len(list))
	for _, k := range list {
		f.Add(Sum(k))
	}
	for _, k := range list {
		if !f.Has(Sum(k)) {
			t.Fatalf("%s is not in it", k)
		}
	}
	if got := falseHits(f, 50_000); got > 0.012 {
		t.Errorf("%.2f %% false hits", 100*got)
	}
	var none *Filter
	if none.Has(1) || none.Size() != 0 {
		t.Error("nil has something")
	}
}

func TestDigestGrows(t *testing.T) {
	d := holding(t, keys(0, 1000))
	var g digests
	catchUp := func() update {
		t.Helper()
		u, ok := d.since(g.version)
		if !ok {
			t.Fatal("nothing there")
		}
		var b bytes.Buffer
		if err := u.writeTo(&b); err != nil {
			t.Fatal(err)
		}
		if b.Len() != u.size() {
			t.Errorf("%d bytes, announced %d", b.Len(), u.size())
		}
		got, err := readUpdate(&b, 1<<20)
		if err != nil || !g.apply(got) {
			t.Fatalf("%v", err)
		}
		if g.version != d.Version() {
			t.Errorf("version %x, want %x", g.version, d.Version())
		}
		return got
	}
	if u := catchUp(); u.kind != kindSnapshot {
		t.Errorf("first: kind %d", u.kind)
	}
	for _, k := range keys(1000, 1010) {
		d.Add(k)
		d.Add(k)
	}
	if u := catchUp(); u.kind != kindDelta || len(u.words) != 10 {
		t.Errorf("second: kind %d of %d", u.kind, len(u.words))
	}
	if u := catchUp(); u.kind != kindDelta || len(u.words) != 0 {
		t.Errorf("third: kind %d of %d", u.kind, len(u.words))
	}
	for _, k := range keys(0, 1010) {
		if !g.filter.Has(Sum(k)) {
			t.Fatalf("%s is missing", k)
		}
	}
	if err := d.Rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	if u := catchUp(); u.kind != kindSnapshot {
		t.Errorf("after a rebuild: kind %d", u.kind)
	}
	if g.filter.Has(Sum(keys(1009, 1010)[0])) {
		t.Error("what the store lost is still there")
	}
}

// What comes into the store while a snapshot is made is in it.
func TestDigestAddsWhileItIsMade(t *testing.T) {
	var d *Digest
	d = NewDigest(DigestDeps{Keys: func(_ context.Context, yield func(string) bool) error {
		yield("http://a/old")
		d.Add("http://a/new")
		return nil
	}})
	if err := d.Rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !d.filter.Has(Sum("http://a/old")) || !d.filter.Has(Sum("http://a/new")) {
		t.Error("a key is missing")
	}
	d.d.Keys = func(context.Context, func(string) bool) error { return errors.New("disk") }
	before := d.Version()
	if err := d.Rebuild(context.Background()); err == nil || d.Version() != before {
		t.Errorf("%v, version %x", err, d.Version())
	}
}

func TestHostileDigests(t *testing.T) {
	wire := func(u update) []byte {
		var b bytes.Buffer
		if err := u.writeTo(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	full := make([]uint64, 100)
	for i := range full {
		full[i] = ^uint64(0)
	}
	good := wire(update{kind: kindSnapshot, epoch: 1, words: make([]uint64, 100)})
	bad := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for _, c := range []struct {
		what string
		b    []byte
		want string
	}{
		{"everything", wire(update{kind: kindSnapshot, epoch: 1, words: full}), "everything"},
		{"too large", wire(update{kind: kindSnapshot, epoch: 1, words: make([]uint64, 1000)}), "larger"},
		{"another magic", bad(0, 'X'), "not a digest"},
		{"another kind", bad(4, 9), "not a digest"},
		{"other hashes", bad(5, 3), "not a digest"},
		{"a flipped bit", bad(40, 1), "checksum"},
		{"no words", wire(update{kind: kindSnapshot, epoch: 1}), "not a digest"},
		{"a delta with a wrong count", wire(update{kind: kindDelta, epoch: 1, count: 5, from: 3, words: make([]uint64, 9)}), "not a digest"},
		{"a delta backwards", wire(update{kind: kindDelta, epoch: 1, count: 3, from: 5}), "not a digest"},
		{"cut off", good[:100], "EOF"},
		{"nothing", nil, "EOF"},
	} {
		if _, err := readUpdate(bytes.NewReader(c.b), 4096); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.what, err, c.want)
		}
	}
	var g digests
	if g.apply(update{kind: kindDelta, epoch: 1, count: 1, words: []uint64{1}}) {
		t.Error("a delta to nothing was taken")
	}
}

func FuzzReadUpdate(f *testing.F) {
	for _, u := range []update{
		{kind: kindSnapshot, epoch: 7, words: []uint64{1, 2, 3}},
		{kind: kindDelta, epoch: 7, count: 2, words: []uint64{1, 2}},
	} {
		var b bytes.Buffer
		if err := u.writeTo(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := readUpdate(bytes.NewReader(b), 1<<16)
		if err != nil {
			return
		}
		if len(u.words)*8 > 1<<16 {
			t.Fatalf("%d words", len(u.words))
		}
		var g digests
		if g.apply(u) {
			g.filter.Has(12345)
		}
	})
}

func TestDigestOverHTTP(t *testing.T) {
	d := holding(t, keys(0, 100))
	member := false
	d.d.Allowed = func(r *http.Request) bool { return member }
	front := httptest.NewServer(d)
	defer front.Close()
	s := Sibling{ID: "1", Name: "n1", Proxy: strings.TrimPrefix(front.URL, "http://"), Digest: d.Version()}
	now := time.Now()
	f, err := New(DefaultOptions(), Deps{
		Siblings: func() []Sibling { return []Sibling{s} }, Clock: func() time.Time { return now },
		FetchDigest: func(ctx context.Context, s Sibling, have uint64) (io.ReadCloser, error) {
			return GetDigest(ctx, front.Client(), s, have)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	update := func() {
		for _, due := range f.updateDigests(now) {
			f.fetchDigest(context.Background(), due)
		}
	}
	update()
	if f.peers["1"].digests.filter != nil {
		t.Error("a digest for somebody who is no member")
	}
	member = true
	update()
	if f.peers["1"].digests.filter != nil {
		t.Error("tried again at once")
	}
	now = now.Add(time.Minute)
	update()
	p := f.peers["1"]
	if p.digests.version != d.Version() || p.has(Sum(keys(5, 6)[0])) != yes || p.has(Sum("http://other/")) != no {
		t.Errorf("%+v", p.digests)
	}
	d.Add("http://other/")
	if s.Digest == d.Version() {
		t.Error("the version stays")
	}
	s.Digest = d.Version()
	update()
	if p.has(Sum("http://other/")) != yes {
		t.Error("the delta did not come")
	}
	s.Digest = 0
	update()
	if p.has(Sum("http://other/")) != unknown {
		t.Error("a digest that is none any more is still used")
	}
}

// BenchmarkDigest measures what docs/cluster.md says of digests: bytes for each
// object, and false hits.
func BenchmarkDigest(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := holding(b, keys(0, n))
			fresh := 100 * falseHits(d.filter, 200_000)
			for _, k := range keys(n, n+n/4) { // as full as it gets
				d.Add(k)
			}
			sum := Sum("http://example.com/not/there")
			b.ReportAllocs()
			for b.Loop() {
				d.filter.Has(sum)
			}
			b.ReportMetric(float64(d.filter.Size())/float64(n), "B/object")
			b.ReportMetric(fresh, "false%")
			b.ReportMetric(100*falseHits(d.filter, 200_000), "false%full")
		})
	}
}
