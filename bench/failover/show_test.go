package failover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/bench/plot/plottest"
)

func TestShow(t *testing.T) {
	r := play(t, options(), func(f *front) {
		f.die()
		time.Sleep(1500 * time.Millisecond)
		f.change(func(f *front) { f.holder = `n2<script>` })
	})
	r.EventError = "exit status 1\x1b"
	r.Started = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var text, html bytes.Buffer
	for _, err := range []error{r.Text(&text), r.HTML(&html)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"Probed        192.0.2.100:3128 for 20.0s, 50.0/s on new connections and as many on 10 kept ones\n",
		"Event         at 5.01s; the command: exit status 1?\n",
		"Failures      first at 5.02s, last at 6.50s: 1.49s after the event\n",
		"refused on new connections\n", "Node          n1: ", "Node          n2<script>: 0 answers before the event, ",
		"Example       5.02s, ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String()+html.String(), "\x1b") || strings.Contains(html.String(), "<script") {
		t.Error("a name from outside comes through")
	}
	for _, want := range []string{`data-series="failed" data-points="200"`, `data-series="n1" data-points="200"`, `class="mark"`} {
		if !strings.Contains(html.String(), want) {
			t.Errorf("no %s on the page", want)
		}
	}
	dom := plottest.Open(t, html.String())
	if n := strings.Count(dom, "<circle"); n != 200*(4+1+2) {
		t.Errorf("%d points are drawn", n)
	}
}

func TestReadAgain(t *testing.T) {
	r := play(t, options(), func(f *front) { f.die() })
	r.Started = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var raw bytes.Buffer
	if err := r.JSON(&raw); err != nil {
		t.Fatal(err)
	}
	var again Result
	if err := json.Unmarshal(raw.Bytes(), &again); err != nil || !reflect.DeepEqual(&again, r) {
		t.Errorf("read again it differs: %v\n%s", err, firstDifference(fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", *r)))
	}
}

func firstDifference(a, b string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i:min(len(a), i+100)] + "\n" + b[i:min(len(b), i+100)]
		}
	}
	return ""
}
