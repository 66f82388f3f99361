package workload

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func counts(t *testing.T, text string, objects, steps int) []int {
	t.Helper()
	p, err := ParsePopularity(text, objects)
	if err != nil {
		t.Fatal(err)
	}
	n := make([]int, objects)
	for i := range steps {
		n[p.Pick(7, uint64(i))]++
	}
	return n
}

// Every rank of a zipf distribution comes as often as its formula says, below,
// at and above the exponent 1.
func TestZipf(t *testing.T) {
	const objects, steps = 100, 400_000
	for text, theta := range map[string]float64{"zipf:0.5": 0.5, "zipf:0.9": 0.9, "zipf": 0.9, "zipf:1": 1, "zipf:1.3": 1.3, "zipf:3": 3} {
		sum := 0.0
		for r := 1; r <= objects; r++ {
			sum += math.Pow(float64(r), -theta)
		}
		for i, got := range counts(t, text, objects, steps) {
			want := steps * math.Pow(float64(i+1), -theta) / sum
			if math.Abs(float64(got)-want) > 5*math.Sqrt(want)+5 {
				t.Errorf("%s: rank %d came %d times, want %.0f", text, i+1, got, want)
			}
		}
	}
}

func TestUniformAndSequential(t *testing.T) {
	for i, n := range counts(t, "uniform", 50, 100_000) {
		if math.Abs(float64(n)-2000) > 5*math.Sqrt(2000) {
			t.Errorf("object %d came %d times, want 2000", i, n)
		}
	}
	for i, n := range counts(t, "sequential", 50, 100_000) {
		if n != 2000 {
			t.Errorf("object %d came %d times, want 2000", i, n)
		}
	}
	if n := counts(t, "zipf:0.9", 1, 100); n[0] != 100 {
		t.Error("one object only")
	}
}

// The same seed gives the same, another seed something else.
func TestSeeds(t *testing.T) {
	p, _ := ParsePopularity("zipf:0.9", 1000)
	s1, _ := ParseSizes("lognormal:10KiB,1.5", 1)
	s2, _ := ParseSizes("lognormal:10KiB,1.5", 2)
	same, sizes := 0, 0
	for i := range uint64(1000) {
		again, _ := ParseSizes("lognormal:10KiB,1.5", 1)
		if a, b := p.Pick(1, i), p.Pick(1, i); a != b || s1.Of(i) != again.Of(i) {
			t.Fatal("not a function of seed and step")
		}
		if p.Pick(1, i) == p.Pick(2, i) {
			same++
		}
		if s1.Of(i) == s2.Of(i) {
			sizes++
		}
	}
	if same > 300 || sizes > 50 {
		t.Errorf("seeds change little: %d, %d of 1000 are the same", same, sizes)
	}
}

func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		text           string
		median, spread float64 // 0.5 quantile, and its tolerance
		low, high      int64
	}{
		{"fixed:10KiB", 10240, 0, 10240, 10240},
		{"3k", 3072, 0, 3072, 3072},
		{"0", 0, 0, 0, 0},
		{"uniform:1000-2000", 1500, 0.02, 1000, 2000},
		{"lognormal:10KiB,1.5", 10240, 0.05, 1, lognormalCap},
		{"mix:web", 6000, 0.05, 40, 2e7},
	} {
		s, err := ParseSizes(tt.text, 3)
		if err != nil {
			t.Fatal(err)
		}
		all := make([]int64, 20_001)
		for i := range all {
			all[i] = s.Of(uint64(i))
		}
		slices.Sort(all)
		median := float64(all[len(all)/2])
		if math.Abs(median-tt.median) > tt.spread*tt.median || all[0] < tt.low || all[len(all)-1] > tt.high {
			t.Errorf("%s: median %.0f, %d to %d", tt.text, median, all[0], all[len(all)-1])
		}
	}
	// The spread of a lognormal: 84 % are below median*e^sigma.
	s, _ := ParseSizes("lognormal:1000,1", 3)
	below := 0
	for i := range uint64(10_000) {
		if s.Of(i) < 2718 {
			below++
		}
	}
	if below < 8250 || below > 8570 {
		t.Errorf("%d of 10000 below one sigma, want 8413", below)
	}
}

func TestMistakes(t *testing.T) {
	for _, bad := range []string{"", "zipf:", "zipf:0", "zipf:-1", "zipf:NaN", "zipf:11", "uniform:3", "pareto"} {
		if _, err := ParsePopularity(bad, 10); err == nil {
			t.Errorf("popularity %q passes", bad)
		}
	}
	if _, err := ParsePopularity("uniform", 0); err == nil {
		t.Error("no objects pass")
	}
	for _, bad := range []string{"", "fixed:", "fixed:-1", "uniform:5", "uniform:5-1", "lognormal:10k", "lognormal:10k,9", "lognormal:0,1", "mix:tv", "2TiB"} {
		if _, err := ParseSizes(bad, 0); err == nil {
			t.Errorf("sizes %q pass", bad)
		}
	}
}

func TestSharesAndRanges(t *testing.T) {
	s := Shares{Head: 0.1, Range: 0.2, Condition: 0.3, Reload: 0.05}
	n := map[Kind]int{}
	for i := range uint64(100_000) {
		n[s.Kind(1, i)]++
		from, to := RangeOf(1, i, 1+int64(i%100))
		if from < 0 || from >= to || to > 1+int64(i%100) {
			t.Fatalf("range %d-%d of %d", from, to, 1+i%100)
		}
	}
	for k, want := range map[Kind]int{Head: 10_000, Range: 20_000, Condition: 30_000, Reload: 5_000, Plain: 35_000} {
		if math.Abs(float64(n[k]-want)) > 600 {
			t.Errorf("kind %d: %d, want %d", k, n[k], want)
		}
	}
}

func TestParseLog(t *testing.T) {
	for _, tt := range []struct {
		line string
		want Entry
		unix float64
	}{
		{
			"1763634000.123    125 10.0.0.5 TCP_MISS/200 5123 GET http://example.com/ - HIER_DIRECT/93.184.216.34 text/html",
			Entry{Method: "GET", URL: "http://example.com/", Status: 200, Bytes: 5123}, 1763633999.998,
		},
		{
			"1763634000.5 0 ::1 NONE_NONE/400 0 - error:invalid-request - HIER_NONE/- -",
			Entry{Method: "-", URL: "error:invalid-request", Status: 400}, 1763634000.5,
		},
		{
			`10.0.0.5 - - [20/Nov/2026:15:00:00 +0100] "GET http://example.com/a%20b HTTP/1.1" 200 512 TCP_MISS:HIER_DIRECT`,
			Entry{Method: "GET", URL: "http://example.com/a%20b", Status: 200, Bytes: 512}, 1795183200,
		},
		{
			`10.0.0.5 - joe [20/Nov/2026:15:00:00 +0000] "HEAD http://example.com/ HTTP/1.1" 304 - "http://ref/" "agent \"x\"" TCP_HIT:HIER_NONE`,
			Entry{Method: "HEAD", URL: "http://example.com/", Status: 304, Bytes: -1}, 1795186800,
		},
	} {
		f, err := DetectLog(tt.line)
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		got, err := ParseLog(f, tt.line)
		start := got.Start
		if got.Start = (time.Time{}); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.line, got, err)
		}
		if d := float64(start.UnixNano())/1e9 - tt.unix; math.Abs(d) > 1e-6 {
			t.Errorf("%s: starts %f s off", tt.line, d)
		}
	}
	if _, err := DetectLog("hello"); err == nil {
		t.Error("no log passes")
	}
}

const recordedLog = `# a comment
1000.000 0 c TCP_MISS/200 1300 GET http://a.example/1 - HIER_DIRECT/1 -
1000.500 0 c TCP_HIT/200 900 GET http://a.example/1 - HIER_NONE/- -
1000.600 0 c TCP_TUNNEL/200 900 CONNECT a.example:443 - HIER_DIRECT/1 -
1000.700 0 c TCP_MISS/200 900 POST http://a.example/1 - HIER_DIRECT/1 -
not a line
1001.000 900 c TCP_MISS/200 5300 GET http://a.example/2 - HIER_DIRECT/1 -
1002.000 0 c TCP_MISS/304 300 HEAD http://a.example/3 - HIER_DIRECT/1 -
`

// Times never go back, one URL has one size, and what cannot be asked again is
// left out and counted.
func TestReplay(t *testing.T) {
	p := NewReplay(strings.NewReader(recordedLog))
	var got []Recorded
	for {
		r, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if len(got) != 4 || p.Skipped() != 3 {
		t.Fatalf("%+v, %d left out", got, p.Skipped())
	}
	for i, want := range []Recorded{
		{After: 0, URL: "http://a.example/1", Size: 1000},
		{After: 500 * time.Millisecond, URL: "http://a.example/1", Size: 1000},
		{After: 500 * time.Millisecond, URL: "http://a.example/2", Size: 5000},
		{After: 2 * time.Second, URL: "http://a.example/3", Size: 1024, Head: true},
	} {
		want.Key = got[i].Key
		if got[i] != want {
			t.Errorf("%d: %+v, want %+v", i, got[i], want)
		}
	}
	if got[0].Key != got[1].Key || got[0].Key == got[2].Key {
		t.Error("keys do not stand for URLs")
	}
	if _, err := NewReplay(strings.NewReader("what\n")).Next(); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("%v", err)
	}
	if _, err := NewReplay(strings.NewReader(strings.Repeat("x", longestLine+1))).Next(); err == nil {
		t.Error("an endless line passes")
	}
}

func TestReadURLs(t *testing.T) {
	got, err := ReadURLs(strings.NewReader("# x\nhttp://a/\n\n http://b:80/c?d \n"))
	if err != nil || !slices.Equal(got, []string{"http://a/", "http://b:80/c?d"}) {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"", "ftp://a/", "http://", "/x", "http://u:p@a/", "http://a/ b", "http://a/\x80"} {
		if _, err := ReadURLs(strings.NewReader(bad)); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzLog(f *testing.F) {
	for line := range strings.Lines(recordedLog) {
		f.Add(line)
	}
	f.Add(`c - - [20/Nov/2026:15:00:00 +0000] "GET http://a/ HTTP/1.1" 200 5 "-" "a\"b"`)
	f.Add("1.9999999999 1 c a/200 1 GET http://a/")
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []LogFormat{SquidNative, Common} {
			e, err := ParseLog(format, text)
			if err == nil && (e.Status < 0 || e.Bytes < -1) {
				t.Fatalf("%+v", e)
			}
		}
		p := NewReplay(strings.NewReader(text))
		for last := time.Duration(0); ; {
			r, err := p.Next()
			if err != nil {
				return
			}
			if r.After < last || r.Size < 1 || r.Size > Largest || ValidURL(r.URL) != nil {
				t.Fatalf("%+v after %v", r, last)
			}
			last = r.After
		}
	})
}

func BenchmarkPickZipf(b *testing.B) {
	p, err := ParsePopularity("zipf:0.9", 1_000_000)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.Pick(1, uint64(i))
	}
}
