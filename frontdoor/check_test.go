package frontdoor

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cachenode/cachenode/internal/units"
)

func TestAskReady(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   outcome
		status string
		code   int
	}{
		"ready":          {"HTTP/1.1 200 OK\r\n\r\n", passed, "L7OK", 200},
		"not ready":      {"HTTP/1.1 503 Service Unavailable\r\n\r\n", unready, "L7STS", 503},
		"something else": {"HTTP/1.1 403 Forbidden\r\n\r\n", failed, "L7STS", 403},
		"old":            {"HTTP/1.0 200 OK\n\n", passed, "L7OK", 200},
		"no HTTP":        {"SSH-2.0-OpenSSH\r\n", failed, "L7RSP", 0},
		"no status":      {"HTTP/1.1 OK\r\n", failed, "L7RSP", 0},
		"no end":         {"HTTP/1.1 200 OK", failed, "L7RSP", 0},
		"silence":        {"", failed, "L7RSP", 0},
		"a flood":        {string(make([]byte, 100_000)), failed, "L7RSP", 0},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			asked := make(chan *http.Request, 1)
			go func() {
				defer ln.Close()
				defer close(asked)
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				req, err := http.ReadRequest(bufio.NewReader(nc))
				if err == nil {
					asked <- req
				}
				_, _ = io.WriteString(nc, c.answer)
			}()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			err = askReady(ctx, Backend{Addr: netip.MustParseAddrPort(ln.Addr().String())}, patience)
			if got := outcomeOf(err); got != c.want {
				t.Errorf("outcome %v (%v), want %v", got, err, c.want)
			}
			if l := describe(err, 0); l.status != c.status || l.code != c.code {
				t.Errorf("described as %+v (%v), want %s %d", l, err, c.status, c.code)
			}
			if req := <-asked; req == nil || req.RequestURI != "/readyz" || req.Host != ln.Addr().String() {
				t.Errorf("asked %+v", req)
			}
		})
	}
}

func TestAskReadyWithoutAnAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for want, addr := range map[string]netip.AddrPort{"L7TOUT": netip.MustParseAddrPort(ln.Addr().String()), "L4CON": deadAddr(t)} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		err := askReady(ctx, Backend{Addr: addr}, patience)
		cancel()
		if l := describe(err, 0); outcomeOf(err) != failed || l.status != want {
			t.Errorf("described as %+v (%v), want %s", l, err, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for want, err := range map[string]error{
		"L7OK":   nil,
		"L7STS":  ErrNotReady,
		"L4TOUT": &net.OpError{Op: "dial", Err: context.DeadlineExceeded},
		"L4CON":  &net.OpError{Op: "dial", Err: errors.New("no route")},
		"L7TOUT": context.DeadlineExceeded,
		"L7RSP":  errors.New("whatever"),
	} {
		if got := describe(err, time.Second); got.status != want || got.took != time.Second {
			t.Errorf("%v: %+v, want %s", err, got, want)
		}
	}
}

// clinic is a Door without sockets, whose checks fail as the test wants.
type clinic struct {
	door *Door
	mu   sync.Mutex // guards what follows
	ill  map[string]error
	asks map[string]int
}

func newClinic(t *testing.T, change func(*Options)) *clinic {
	t.Helper()
	c := &clinic{ill: map[string]error{}, asks: map[string]int{}}
	o := DefaultOptions()
	o.Check = Check{Interval: units.Duration(time.Second), Timeout: units.Duration(500 * time.Millisecond), Rise: 2, Fall: 3}
	if change != nil {
		change(&o)
	}
	var err error
	c.door, err = New(o, Deps{Check: func(ctx context.Context, b Backend) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asks[b.ID]++
		return c.ill[b.ID]
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.door.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *clinic) say(id string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ill[id] = err
}

func (c *clinic) asked(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asks[id]
}

// after lets time pass, and returns what is then known of node a.
func (c *clinic) after(d time.Duration) Row {
	time.Sleep(d)
	synctest.Wait()
	return c.door.Stats().of("a")
}

var errIll = errors.New("ill")

func TestChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, nil)
		c.door.SetBackends([]Backend{{ID: "a", Name: "a"}, {ID: "me", Name: "me", Self: true}})
		if r := c.after(100 * time.Millisecond); r.Status != StatusUp || r.CheckStatus != "L7OK" {
			t.Fatalf("at first %+v", r)
		}
		c.say("a", errIll) // noticed at 1 s, 2 s, 3 s
		if r := c.after(2500 * time.Millisecond); r.Status != StatusUp || r.ChecksFailed != 2 || r.CheckStatus != "L7RSP" {
			t.Fatalf("after two checks %+v", r)
		}
		if r := c.after(time.Second); r.Status != StatusDown || r.ChecksFailed != 3 || r.WentDown != 1 || r.LastChange != 600*time.Millisecond {
			t.Fatalf("after three %+v", r)
		}
		c.say("a", nil) // noticed at 4 s, 5 s
		if r := c.after(time.Second); r.Status != StatusDown {
			t.Fatalf("after one that passed %+v", r)
		}
		if r := c.after(time.Second); r.Status != StatusUp || r.Downtime != 2*time.Second || r.Throttle != 6 {
			t.Fatalf("after two %+v", r)
		}
		if r := c.after(10 * time.Second); r.Throttle != 100 {
			t.Fatalf("started %+v", r)
		}
		c.say("a", ErrNotReady)
		if r := c.after(time.Second); r.Status != StatusNoLB || r.ChecksFailed != 3 {
			t.Fatalf("not ready %+v", r)
		}
		if n := c.asked("me"); n != 0 {
			t.Errorf("the own node was checked %d times", n)
		}
	})
}

func TestAFailedConnectionHasTheNodeCheckedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClinic(t, nil)
		c.door.SetBackends([]Backend{{ID: "a", Name: "a"}})
		c.after(250 * time.Millisecond) // between two checks
		for range 10 {                  // in the same moment
			x := &conn{}
			c.door.arrive(x)
			c.door.elsewhere(x)
			c.door.forgetTest(x)
		}
		if c.after(0); c.asked("a") != 2 {
			t.Errorf("asked %d times, want one check more at once", c.asked("a"))
		}
		if r := c.after(0); r.Status != StatusDown || r.ConnectErrors != 10 {
			t.Errorf("%+v", r)
		}
		if r := c.after(2100 * time.Millisecond); r.Status != StatusUp { // the first may not count: connections failed after it
			t.Errorf("after two checks that passed %+v", r)
		}
	})
}

// forgetTest is forget of a connection that no goroutine was started for.
func (d *Door) forgetTest(c *conn) {
	d.served.Add(1)
	d.forget(c)
}

func TestACheckTakesItsTimeButNotMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		d, err := New(DefaultOptions(), Deps{Check: func(ctx context.Context, _ Backend) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-ctx.Done()
			return ctx.Err()
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		d.SetBackends([]Backend{{ID: "a", Name: "a"}})
		time.Sleep(3100 * time.Millisecond) // checks of 1 s, one after the other
		synctest.Wait()
		r := d.Stats().of("a")
		if r.Status != StatusDown || r.ChecksFailed != 3 || r.CheckStatus != "L7TOUT" || r.CheckDuration != time.Second {
			t.Errorf("%+v", r)
		}
		if most.Load() != 1 {
			t.Errorf("%d checks at a time", most.Load())
		}
		cancel() // ends the one that runs, and says nothing of the node
		if err := <-done; err != nil || running.Load() != 0 {
			t.Errorf("Run returns %v while %d checks run", err, running.Load())
		}
		if r := d.Stats().of("a"); r.ChecksFailed != 3 {
			t.Errorf("%+v", r)
		}
	})
}
