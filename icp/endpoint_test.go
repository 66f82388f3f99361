package icp

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// open runs an endpoint on a free port of loopback that knows everybody and
// answers by has.
func open(t testing.TB, has func(string) Opcode, change ...func(*Options, *Deps)) *Endpoint {
	t.Helper()
	o := DefaultOptions()
	o.Listen = []string{"127.0.0.1:0"}
	d := Deps{Known: func(netip.AddrPort) bool { return true }, Answer: has}
	for _, c := range change {
		c(&o, &d)
	}
	e, err := New(context.Background(), o, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return e
}

func always(op Opcode) func(string) Opcode { return func(string) Opcode { return op } }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// squid is a raw socket that sends what it likes.
func squid(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// exchange sends b to e and returns the reply.
func exchange(t *testing.T, c *net.UDPConn, e *Endpoint, b []byte) []byte {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort(b, e.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	return receive(t, c)
}

func receive(t *testing.T, c *net.UDPConn) []byte {
	t.Helper()
	buf := make([]byte, MaxDatagram)
	c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// Squid's queries get the bytes that squid answers.
func TestAnswersAsSquid(t *testing.T) {
	e := open(t, func(url string) Opcode {
		switch {
		case strings.HasSuffix(url, "/nf"):
			return OpMissNoFetch
		case strings.HasSuffix(url, "/warm"), strings.HasSuffix(url, "/one"):
			return OpHit
		case url == "nonsense":
			return OpErr
		}
		return OpMiss
	})
	c := squid(t)
	for _, pair := range [][2]string{
		{"01-query", "02-hit"}, {"05-query-with-query-string", "06-miss-with-query-string"},
		{"13-query-nofetch", "14-miss-nofetch"}, {"17-query-without-nul", "18-err-to-query-without-nul"},
	} {
		q, want := golden(t, pair[0]), golden(t, pair[1])
		if got := exchange(t, c, e, q); !bytes.Equal(got[8:], want[8:]) || got[0] != want[0] || !bytes.Equal(got[4:8], q[4:8]) {
			t.Errorf("%s answered with\n%x, want\n%x", pair[0], got, want)
		}
	}
	// Both flags in a query: a plain HIT without flags.
	got := exchange(t, c, e, golden(t, "20-query-hit-obj-and-src-rtt"))
	if m, err := Parse(got); err != nil || m.Flags != 0 || m.Data != 0 || m.Opcode == OpHitObj {
		t.Errorf("%+v %v", m, err)
	}
	bad := Append(nil, &Message{Opcode: OpQuery, Number: 9, URL: "nonsense"})
	if m, _ := Parse(exchange(t, c, e, bad)); m.Opcode != OpErr || m.URL != "nonsense" || m.Number != 9 {
		t.Errorf("%+v", m)
	}
	space := Append(nil, &Message{Opcode: OpQuery, Number: 9, URL: "http://a/ b"})
	if m, _ := Parse(exchange(t, c, e, space)); m.Opcode != OpErr {
		t.Errorf("%+v", m)
	}
}

// What must not be answered is counted by its reason.
func TestNoReply(t *testing.T) {
	e := open(t, always(OpHit))
	c := squid(t)
	query := Append(nil, &Message{Opcode: OpQuery, Number: 7, URL: one})
	with := func(at int, v byte) []byte {
		b := bytes.Clone(query)
		b[at] = v
		return b
	}
	short := append([]byte{1, 2, 0, 20}, make([]byte, 16)...)
	for _, p := range []struct {
		why string
		b   []byte
	}{
		{"malformed", []byte("x")}, {"malformed", query[:30]}, {"version", with(1, 3)}, {"version", with(1, 0)},
		{"opcode", with(0, byte(OpSEcho))}, {"opcode", with(0, byte(OpDEcho))}, {"opcode", with(0, 99)}, {"opcode", with(0, byte(OpHitObj))},
		{"number", Append(nil, &Message{Opcode: OpHit, Number: 7, URL: one})}, {"amplify", short},
	} {
		before := e.Stats().Dropped[p.why]
		if _, err := c.WriteToUDPAddrPort(p.b, e.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		eventually(t, p.why, func() bool { return e.Stats().Dropped[p.why] > before })
	}
	if s := e.Stats(); s.RepliesSent != 0 {
		t.Errorf("replies sent: %v", s.Sent)
	}
	if m, _ := Parse(exchange(t, c, e, query)); m.Opcode != OpHit {
		t.Errorf("%+v", m)
	}
}

func TestStrangersAreNotAnswered(t *testing.T) {
	friend, stranger := squid(t), squid(t)
	e := open(t, always(OpHit), func(_ *Options, d *Deps) {
		d.Known = func(from netip.AddrPort) bool { return from == addrOf(friend) }
	})
	query := Append(nil, &Message{Opcode: OpQuery, Number: 7, URL: one})
	if _, err := stranger.WriteToUDPAddrPort(query, e.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "count", func() bool { return e.Stats().Dropped["stranger"] == 1 })
	if m, _ := Parse(exchange(t, friend, e, query)); m.Opcode != OpHit {
		t.Errorf("%+v", m)
	}
	// counted once it is sent, which the friend may see first
	eventually(t, "one reply", func() bool { return e.Stats().RepliesSent == 1 })
}

func TestRateIsLimited(t *testing.T) {
	e := open(t, always(OpMiss), func(o *Options, _ *Deps) { o.MaxRatePerSibling = 4 })
	c := squid(t)
	query := Append(nil, &Message{Opcode: OpQuery, Number: 7, URL: one})
	exchange(t, c, e, query)
	eventually(t, "limit", func() bool {
		if _, err := c.WriteToUDPAddrPort(query, e.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		return e.Stats().Dropped["rate"] > 0
	})
}

func TestQuery(t *testing.T) {
	miss, hit := open(t, always(OpMiss)), open(t, always(OpHit))
	denies := open(t, always(OpDenied))
	dead := squid(t) // never answers
	me := open(t, always(OpMiss))
	ask := func(wait time.Duration, to ...netip.AddrPort) Outcome {
		return me.Query(context.Background(), one, to, wait)
	}
	if got := ask(patience, miss.Addrs()[0], addrOf(dead), hit.Addrs()[0]); got.Hit != hit.Addrs()[0] {
		t.Errorf("hit: %+v", got)
	}
	if got := ask(patience, miss.Addrs()[0], denies.Addrs()[0]); got.Hit.IsValid() || got.Silent != nil {
		t.Errorf("all miss: %+v", got)
	}
	if got := ask(50*time.Millisecond, addrOf(dead)); got.Hit.IsValid() || len(got.Silent) != 1 || got.Silent[0] != addrOf(dead) {
		t.Errorf("silence: %+v", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := me.Query(ctx, one, []netip.AddrPort{addrOf(dead)}, patience); got.Hit.IsValid() || got.Silent != nil {
		t.Errorf("cancelled: %+v", got)
	}
	if s := me.Stats(); s.Hits != 1 || s.Timeouts != 1 || s.Sent["query"] != 7 {
		t.Errorf("%+v", s)
	}
}

// A reply counts only with the number, the source and the URL of the query.
func TestForgedReplies(t *testing.T) {
	asked, other, silent := squid(t), squid(t), squid(t)
	var late []Reply
	var mu sync.Mutex
	me := open(t, always(OpMiss), func(_ *Options, d *Deps) {
		d.Observe = func(r Reply) {
			mu.Lock()
			late = append(late, r)
			mu.Unlock()
		}
	})
	answer := make(chan Outcome)
	go func() {
		answer <- me.Query(context.Background(), one, []netip.AddrPort{addrOf(silent), addrOf(asked)}, patience)
	}()
	q, err := Parse(receive(t, asked))
	if err != nil || q.URL != one || q.Opcode != OpQuery || q.Number == 0 {
		t.Fatalf("%+v %v", q, err)
	}
	send := func(from *net.UDPConn, m Message, why string) {
		t.Helper()
		before := me.Stats().Dropped[why]
		if _, err := from.WriteToUDPAddrPort(Append(nil, &m), me.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		if why != "" {
			eventually(t, why, func() bool { return me.Stats().Dropped[why] == before+1 })
		}
	}
	send(asked, Message{Opcode: OpHit, Number: q.Number + 1, URL: one}, "number")
	send(asked, Message{Opcode: OpHit, Number: 0, URL: one}, "number")
	send(other, Message{Opcode: OpHit, Number: q.Number, URL: one}, "source")
	send(asked, Message{Opcode: OpHit, Number: q.Number, URL: warm}, "url")
	send(asked, Message{Opcode: OpHit, Number: q.Number}, "url")
	send(asked, Message{Opcode: OpHit, Number: q.Number, URL: one}, "")
	if got := <-answer; got.Hit != addrOf(asked) {
		t.Errorf("%+v", got)
	}
	send(asked, Message{Opcode: OpHit, Number: q.Number, URL: one}, "duplicate")
	send(silent, Message{Opcode: OpMiss, Number: q.Number, URL: one}, "")
	eventually(t, "last reply", func() bool { return me.Stats().Received["miss"] == 1 })
	send(asked, Message{Opcode: OpHit, Number: q.Number, URL: one}, "number") // all have answered
	mu.Lock()
	defer mu.Unlock()
	if len(late) != 2 || late[0].From != addrOf(asked) || late[0].RTT <= 0 {
		t.Errorf("observed %+v", late)
	}
}

// A reply after the time-out is still told, so that the wait can adapt.
func TestLateReplyIsObserved(t *testing.T) {
	slow := squid(t)
	seen := make(chan Reply, 1)
	me := open(t, always(OpMiss), func(_ *Options, d *Deps) { d.Observe = func(r Reply) { seen <- r } })
	if got := me.Query(context.Background(), one, []netip.AddrPort{addrOf(slow)}, time.Millisecond); len(got.Silent) != 1 {
		t.Errorf("%+v", got)
	}
	q, _ := Parse(receive(t, slow))
	if _, err := slow.WriteToUDPAddrPort(Append(nil, &Message{Opcode: OpMiss, Number: q.Number, URL: q.URL}), me.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	if r := <-seen; r.RTT < time.Millisecond || r.Opcode != OpMiss {
		t.Errorf("%+v", r)
	}
}

func TestQuestionsExpire(t *testing.T) {
	var f inFlight
	f.init()
	now := time.Now()
	f.add(&question{sent: now})
	f.add(&question{sent: now.Add(time.Minute)})
	f.expire(now.Add(time.Second))
	if len(f.all) != 1 {
		t.Errorf("%d left", len(f.all))
	}
}

func TestBothFamilies(t *testing.T) {
	six, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip("no IPv6 here")
	}
	six.Close()
	for _, listen := range [][]string{{"127.0.0.1:0", "[::1]:0"}, {":0"}} {
		four := open(t, always(OpHit))
		v6 := open(t, always(OpHit), func(o *Options, _ *Deps) { o.Listen = []string{"[::1]:0"} })
		me := open(t, always(OpMiss), func(o *Options, _ *Deps) { o.Listen = listen })
		for _, to := range []netip.AddrPort{four.Addrs()[0], v6.Addrs()[0]} {
			if got := me.Query(context.Background(), one, []netip.AddrPort{to}, patience); got.Hit != to {
				t.Errorf("%v asking %v: %+v", listen, to, got)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	o := Options{Listen: []string{"nowhere", ":70000"}, MaxRate: -1, MaxRatePerSibling: -1}
	err := o.Validate()
	for _, key := range []string{"icp.listen[0]", "icp.listen[1]", "icp.max_rate:", "icp.max_rate_per_sibling"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%v does not name %s", err, key)
		}
	}
	o = DefaultOptions()
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkQuery(b *testing.B) {
	sibling := open(b, always(OpHit), func(o *Options, _ *Deps) { o.MaxRate, o.MaxRatePerSibling = 0, 0 })
	me := open(b, always(OpMiss))
	b.ReportAllocs()
	for b.Loop() {
		if got := me.Query(context.Background(), one, sibling.Addrs(), patience); !got.Hit.IsValid() {
			b.Fatal("no answer")
		}
	}
}
