package failover

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options() Options {
	o := DefaultOptions()
	o.VIP, o.URL, o.Duration = "192.0.2.100:3128", "http://192.0.2.1/probe", 20*time.Second
	o.KillAt = 5010 * time.Millisecond // between two probes
	return o
}

// play probes a front in virtual time while a story happens to it.
func play(t *testing.T, o Options, story func(f *front)) *Result {
	t.Helper()
	var result *Result
	synctest.Test(t, func(t *testing.T) {
		f := newFront("n1")
		h := Hooks{Dial: f.dial}
		if story != nil {
			h.Kill = func(context.Context) error { story(f); return nil }
		}
		r, err := Run(t.Context(), o, h)
		if err != nil {
			t.Fatal(err)
		}
		f.die()
		f.served.Wait()
		result = r
	})
	return result
}

func about(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.021 { // one interval of the rate
		t.Errorf("%s is %.3f s, want %.3f", what, got, want)
	}
}

func TestNothingHappens(t *testing.T) {
	r := play(t, options(), nil)
	for name, p := range map[string]Probes{"new": r.New, "kept": r.OnKept} {
		if p.Probes != 1000 || p.OK != 1000 || p.Failed+p.Slow+p.Stale != 0 || !p.Recovered {
			t.Errorf("%s: %+v, want 1000 good probes", name, p)
		}
		about(t, "the longest gap", p.LongestGap, 0.020)
	}
	if r.FirstFailure != nil || r.LastFailure != nil || r.Outage != nil || r.EventSeconds != nil {
		t.Errorf("there is talk of failures: %+v", r)
	}
	if len(r.Nodes) != 1 || r.Nodes[0] != (Node{Name: "n1", Before: 2000}) {
		t.Errorf("nodes %+v", r.Nodes)
	}
}

// The holder dies at 5 s and another takes over at 6.5 s.
func TestTakeover(t *testing.T) {
	r := play(t, options(), func(f *front) {
		f.die()
		time.Sleep(1500 * time.Millisecond)
		f.change(func(f *front) { f.holder = "n2" })
	})
	about(t, "the event", *r.EventSeconds, 5)
	about(t, "the first failure", *r.FirstFailure, 5)
	about(t, "the last failure", *r.LastFailure, 6.48)
	about(t, "the outage", *r.Outage, 1.48)
	for name, p := range map[string]Probes{"new": r.New, "kept": r.OnKept} {
		if p.Failed < 74 || p.Failed > 76 || !p.Recovered || p.OK+p.Failed+p.Stale != 1000 {
			t.Errorf("%s: %+v, want 75 failures and no others", name, p)
		}
		about(t, "the longest gap", p.LongestGap, 1.52)
		if p.Errors[classRefused] < 74 {
			t.Errorf("%s: errors %v, want them refused", name, p.Errors)
		}
	}
	if r.New.Stale != 0 || r.OnKept.Stale != 0 {
		t.Errorf("stale %d and %d; asked again in vain is failed", r.New.Stale, r.OnKept.Stale)
	}
	for _, n := range r.Nodes {
		if n.Name == "n1" && n.After != 0 || n.Name == "n2" && n.Before != 0 || n.Before+n.After == 0 {
			t.Errorf("node %+v", n)
		}
	}
}

// A takeover without a gap still costs each kept connection once.
func TestStaleConnections(t *testing.T) {
	r := play(t, options(), func(f *front) {
		f.die()
		f.change(func(f *front) { f.holder = "n2" })
	})
	if r.OnKept.Stale != 10 || r.OnKept.Failed != 0 || r.New.Failed != 0 || r.New.Stale != 0 {
		t.Errorf("new %+v\nkept %+v\nwant 10 stale connections only", r.New, r.OnKept)
	}
	if len(r.Examples) != 10 || r.Examples[0].Outcome != "stale" || r.Examples[0].Node != "n2" {
		t.Errorf("examples %+v", r.Examples)
	}
}

// A holder that takes requests and answers none is a timeout, and its kept
// connections are given up.
func TestHang(t *testing.T) {
	o := options()
	o.Timeout = 2 * time.Second
	r := play(t, o, func(f *front) {
		f.change(func(f *front) { f.hangs = true })
		time.Sleep(time.Second)
		f.change(func(f *front) { f.hangs = false })
	})
	if n := r.New.Errors[classTimeout]; n < 49 || n > 51 {
		t.Errorf("%d new connections timed out, want 50: %v", n, r.New.Errors)
	}
	if r.OnKept.Failed == 0 || r.OnKept.Errors[classTimeout] != r.OnKept.Failed || !r.OnKept.Recovered {
		t.Errorf("kept: %+v, want timeouts and recovery", r.OnKept)
	}
	about(t, "the slowest", r.New.Max, 2)
}

// Late answers count from their intended start: they queue on a kept connection.
func TestSlow(t *testing.T) {
	o := options()
	o.Rate, o.Kept, o.Duration = 10, 1, 10*time.Second
	r := play(t, o, func(f *front) {
		f.change(func(f *front) { f.delay = time.Second })
		time.Sleep(2 * time.Second)
		f.change(func(f *front) { f.delay = 0 })
	})
	if r.New.Slow < 19 || r.New.Slow > 21 || r.New.Failed != 0 {
		t.Errorf("new: %+v, want 20 slow ones", r.New)
	}
	if r.OnKept.Slow < 10 || r.OnKept.Max < 1.5 {
		t.Errorf("kept: %+v, want those that queued to be slow too", r.OnKept)
	}
}

func TestNeverRecovers(t *testing.T) {
	r := play(t, options(), func(f *front) { f.die() })
	if r.New.Recovered || r.OnKept.Recovered {
		t.Errorf("a dead address recovered: %+v %+v", r.New, r.OnKept)
	}
	about(t, "the longest gap", r.New.LongestGap, 15)
}

func TestBadAnswers(t *testing.T) {
	r := play(t, options(), func(f *front) { f.change(func(f *front) { f.status = 502 }) })
	if r.New.Errors["status-502"] == 0 || r.OnKept.Errors["status-502"] == 0 {
		t.Errorf("errors %v and %v", r.New.Errors, r.OnKept.Errors)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFront("n1")
		r, err := Run(t.Context(), options(), Hooks{Dial: f.dial, Check: func(http.Header, []byte) error { return errors.New("not mine") }})
		if err != nil || r.New.Errors[classWrong] != 1000 || r.Examples[0].Error != "not mine" {
			t.Errorf("%v, %+v", err, r.New)
		}
		f.die()
		f.served.Wait()
	})
}

// A run that is stopped gives what it has, and what was cut is not counted.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront("n1")
		o := options()
		o.Duration = 0
		ctx, cancel := context.WithTimeout(t.Context(), 3010*time.Millisecond)
		defer cancel()
		var seen []Progress
		f.delay = 100 * time.Millisecond
		r, err := Run(ctx, o, Hooks{Dial: f.dial, Progress: func(p Progress) { seen = append(seen, p) }})
		if err != nil || r.Failed() != 0 || r.New.OK < 140 {
			t.Errorf("%v, %+v %+v", err, r.New, r.OnKept)
		}
		if len(seen) != 3 || seen[2].Holder != "n1" || seen[2].Probes == 0 {
			t.Errorf("progress %+v", seen)
		}
		f.die()
		f.served.Wait()
	})
}

// A long run keeps a bounded timeline.
func TestTimelineIsBounded(t *testing.T) {
	o := options()
	o.Rate, o.Kept, o.Duration = 2, 1, 10*time.Minute
	r := play(t, o, nil)
	sum := int64(0)
	for _, s := range r.Timeline {
		sum += s.OK
	}
	if len(r.Timeline) > maxSteps || sum != r.New.OK+r.OnKept.OK || r.Timeline[1].AtSeconds != r.StepSize {
		t.Errorf("%d steps of %v s, %d probes of %d", len(r.Timeline), r.StepSize, sum, r.New.OK+r.OnKept.OK)
	}
}

func TestValidate(t *testing.T) {
	err := (&Options{VIP: "x", URL: "/x", Rate: math.NaN(), Kept: -1, KillAt: -1}).Validate()
	for _, name := range []string{"vip", "url", "rate", "kept", "timeout", "slow", "kill-at"} {
		if err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("no word about %s in\n%v", name, err)
		}
	}
	if o := options(); o.Validate() != nil {
		t.Error(o.Validate())
	}
}

func TestNodeOf(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"Cache-Status", "far; hit, cachenode-n2; hit; ttl=3", "n2"},
		{"Cache-Status", `"n 3"; fwd=miss`, "n 3"},
		{"Via", "1.1 a, 1.1 n4 (cachenode)", "n4"},
		{"Via", "nonsense", ""},
		{"X", "", ""},
		{"Cache-Status", strings.Repeat("x", 1000), strings.Repeat("x", 64)},
	} {
		if got := nodeOf(http.Header{tt.name: {tt.value}}); got != tt.want {
			t.Errorf("%s: %s is %q, want %q", tt.name, tt.value, got, tt.want)
		}
	}
}

// Over real sockets: a server that closes its idle connections harms nobody.
func TestRealSockets(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Via", "1.1 n9")
		_, _ = w.Write([]byte("ok"))
	}))
	defer s.Close()
	o := options()
	o.VIP, o.URL, o.Rate, o.Kept, o.Duration, o.KillAt = s.Listener.Addr().String(), "http://127.0.0.1/x", 100, 5, time.Second, 500*time.Millisecond
	r, err := Run(t.Context(), o, Hooks{Kill: func(context.Context) error { s.CloseClientConnections(); return nil }})
	if err != nil || r.New.Probes != 100 || r.OnKept.Probes != 100 || r.OnKept.Failed > 0 {
		t.Fatalf("%v, new %+v kept %+v", err, r.New, r.OnKept)
	}
	if r.IdleEnd+r.OnKept.Stale == 0 {
		t.Errorf("nobody noticed that the kept connections were closed: %+v", r.OnKept)
	}
	s.Close()
	o.Duration, o.KillAt = 100*time.Millisecond, 0
	if r, err = Run(t.Context(), o, Hooks{}); err != nil || r.New.Errors[classRefused] != r.New.Probes {
		t.Errorf("%v, %+v", err, r.New)
	}
}

// Hostile answers are failures, never panics.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 503 x\r\nCache-Status: ,;\r\n\r\n", "HTTP/9", "\x00", "HTTP/1.1 200 OK\r\nVia: ,\r\nContent-Length: -1\r\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			b := make([]byte, 512)
			if _, err := ours.Read(b); err == nil {
				_, _ = ours.Write([]byte(text))
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := newConn(theirs)
		defer c.close()
		a, err := c.ask(ctx, "http://192.0.2.1/", true)
		if err == nil && a.header == nil {
			t.Errorf("%q is an answer without a header", text)
		}
		if err != nil && classOf(err) == "" {
			t.Errorf("%v has no class", err)
		}
	})
}
