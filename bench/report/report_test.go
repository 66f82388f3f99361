package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cachenode/cachenode/bench"
)

var update = flag.Bool("update", false, "write the golden files")

func TestText(t *testing.T) {
	closed := eventful(t)
	closed.Loop, closed.Late, closed.Total.Service = bench.ClosedLoop, nil, nil
	closed.Total.Corrected, closed.TargetCPU, closed.Origin.Known = ramp(t, 20_000, time.Microsecond), nil, false
	for name, r := range map[string]*bench.Result{"open": eventful(t), "closed": closed, "bare": bare()} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Of(r, "v1").Text(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.Bytes())
			if strings.ContainsAny(b.String(), "\x1b\r") {
				t.Error("control characters reach the terminal")
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nwrite it anew with -update", name, got, want)
	}
}

// What is written is read again the same, and every name in it is a stable one.
func TestJSONRoundTrip(t *testing.T) {
	for _, r := range []*bench.Result{eventful(t), bare()} {
		d := Of(r, "v1")
		var b bytes.Buffer
		if err := d.JSON(&b); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(d, again) {
			t.Errorf("read again it differs:\n%+v\n%+v", d, again)
		}
	}
	if _, err := Read(strings.NewReader(`{"version":99,"kind":"bench"}`)); err == nil {
		t.Error("a document of another version was read")
	}
}

// The names of the schema: taking one away or changing it raises SchemaVersion.
func TestJSONSchema(t *testing.T) {
	var b bytes.Buffer
	if err := Of(eventful(t), "v1").JSON(&b); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	collect(v, "", names)
	var list []string
	for n := range names {
		list = append(list, n)
	}
	slices.Sort(list)
	golden(t, "schema.txt", []byte(strings.Join(list, "\n")+"\n"))
}

func collect(v any, path string, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			into[path+"."+k] = true
			collect(x, path+"."+k, into)
		}
	case []any:
		for _, x := range v {
			collect(x, path+"[]", into)
		}
	}
}

// The lines are those that HdrHistogram's plotter splits into columns.
func TestHGRM(t *testing.T) {
	h := ramp(t, 10_000, 2*time.Microsecond)
	var b bytes.Buffer
	if err := HGRM(&b, h); err != nil {
		t.Fatal(err)
	}
	golden(t, "latency.hgrm", b.Bytes())
	rows, last := 0, 0.0
	for s := bufio.NewScanner(&b); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 3 || f[0] == "Value" || strings.HasPrefix(f[0], "#") {
			continue
		}
		value, err1 := strconv.ParseFloat(f[0], 64)
		q, err2 := strconv.ParseFloat(f[1], 64)
		if err1 != nil || err2 != nil || value < last || q < 0 || q > 1 {
			t.Errorf("line %q", s.Text())
		}
		if len(f) != 4 && q != 1 {
			t.Errorf("line %q has no 1/(1-percentile)", s.Text())
		}
		last, rows = value, rows+1
	}
	if rows < 20 || last < 19.9 || last > 20.1 {
		t.Errorf("%d rows up to %v ms", rows, last)
	}
	if HGRM(io.Discard, hdrhistogram.New(1, 10, 1)) == nil || HGRM(io.Discard, nil) == nil {
		t.Error("nothing was written without an error")
	}
}

func TestLive(t *testing.T) {
	at := func(s int) bench.Snapshot {
		return bench.Snapshot{Phase: "measure", Elapsed: time.Duration(s) * time.Second, Left: time.Duration(10-s) * time.Second, Progress: float64(s) / 10,
			Requests: int64(s) * 1000, Hits: int64(s) * 900, Cached: int64(s) * 1000, Errors: 1,
			Last: bench.Point{Span: time.Second, Requests: 1000, P99: 2 * time.Millisecond}}
	}
	var plain, terminal bytes.Buffer
	p, l := NewLive(&plain, false), NewLive(&terminal, true)
	p.Show(bench.Snapshot{Phase: "warm", Elapsed: time.Second, Left: -1, Lies: 2, Errors: 2})
	for s := 1; s <= 7; s++ {
		p.Show(at(s))
		l.Show(at(s))
	}
	p.Done()
	l.Done()
	want := "  0 %  warming, 0 requests, 0.00/s, 2 errors (2 wrong answers), p99 0\n" +
		" 10 %  1000 requests, 1000/s, 90.0 % hits, 1 error, p99 2.00ms, 9s left\n" +
		" 60 %  6000 requests, 1000/s, 90.0 % hits, 1 error, p99 2.00ms, 4s left\n"
	if plain.String() != want {
		t.Errorf("not a terminal:\n%s\nwant\n%s", plain.String(), want)
	}
	if s := terminal.String(); strings.Count(s, "\r") != 9 || strings.Contains(s, "\n") || !strings.HasSuffix(s, " \r") {
		t.Errorf("terminal: %q", s)
	}
}
