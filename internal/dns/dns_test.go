package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBothFamiliesAreFound(t *testing.T) {
	s := newNameServer(t, "a.test. 60 A 192.0.2.1", "a.test. 60 A 192.0.2.2", "a.test. 60 AAAA 2001:db8::1",
		"six.test. 60 AAAA 2001:db8::6", "four.test. 60 A 192.0.2.4")
	r, _ := newResolver(t, nil, s)
	for host, want := range map[string][]string{
		"a.test":         {"2001:db8::1", "192.0.2.1", "192.0.2.2"},
		"A.Test.":        {"2001:db8::1", "192.0.2.1", "192.0.2.2"},
		"six.test":       {"2001:db8::6"},
		"four.test":      {"192.0.2.4"},
		"192.0.2.9":      {"192.0.2.9"},
		"2001:db8::9":    {"2001:db8::9"},
		"[2001:db8::9]":  {"2001:db8::9"},
		"::ffff:1.2.3.4": {"1.2.3.4"},
		"localhost":      {"::1", "127.0.0.1"},
		"x.localhost":    {"::1", "127.0.0.1"},
	} {
		if got := lookup(t, r, host); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
}

func TestNamesThatAreNotAskedFor(t *testing.T) {
	s := newNameServer(t)
	r, _ := newResolver(t, nil, s)
	for _, host := range []string{
		"", ".", "a..b", ".a", "a b", "a/b", "a_b.0177", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "1.2.3.4.5", "256.1.1.1",
		"a\x00b", "x.invalid", "y.onion", "1:2", strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 130) + "test",
	} {
		_, err := r.Lookup(t.Context(), host)
		if e, ok := errors.AsType[*Error](err); !ok || e.Timeout {
			t.Errorf("%q: error %v", host, err)
		}
	}
	if n := s.queries.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestAnswersAreKeptForTheirTTL(t *testing.T) {
	s := newNameServer(t, "a.test. 30 A 192.0.2.1")
	r, c := newResolver(t, func(o *Options) { o.Prefetch = false }, s)
	lookup(t, r, "a.test")
	s.serve("a.test. 30 A 192.0.2.2")
	c.pass(29 * time.Second)
	if got := lookup(t, r, "a.test"); got[0] != "192.0.2.1" {
		t.Errorf("before the TTL is over: %v", got)
	}
	c.pass(2 * time.Second)
	if got := lookup(t, r, "a.test"); got[0] != "192.0.2.2" {
		t.Errorf("after it: %v", got)
	}
	if n := s.timesAsked("a.test"); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestTTLIsClamped(t *testing.T) {
	s := newNameServer(t, "short.test. 0 A 192.0.2.1", "long.test. 999999 A 192.0.2.2", "huge.test. 4294967295 A 192.0.2.3")
	r, c := newResolver(t, func(o *Options) {
		o.MinTTL, o.MaxTTL = units.Duration(10*time.Second), units.Duration(time.Minute)
	}, s)
	ask := func() {
		for _, host := range []string{"short.test", "long.test", "huge.test"} {
			lookup(t, r, host)
		}
	}
	want := func(short, long, huge int) {
		t.Helper()
		if a, b, c := s.timesAsked("short.test"), s.timesAsked("long.test"), s.timesAsked("huge.test"); a != short || b != long || c != huge {
			t.Errorf("asked %d, %d and %d times, want %d, %d and %d", a, b, c, short, long, huge)
		}
	}
	ask()
	c.pass(9 * time.Second)
	ask()
	want(1, 1, 1)
	c.pass(2 * time.Second) // a TTL with the top bit set counts as 0
	ask()
	want(2, 1, 2)
	c.pass(time.Minute)
	ask()
	want(3, 2, 3)
}

func TestNegativeAnswersAreCached(t *testing.T) {
	s := newNameServer(t)
	r, c := newResolver(t, nil, s)
	for range 3 {
		_, err := r.Lookup(t.Context(), "none.test")
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Timeout || e.Reason != "no such name" || e.Host != "none.test" {
			t.Fatalf("error %v", err)
		}
	}
	if n := s.timesAsked("none.test"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	c.pass(61 * time.Second) // the SOA's minimum is 60
	s.serve("none.test. 60 A 192.0.2.1")
	if got := lookup(t, r, "none.test"); got[0] != "192.0.2.1" {
		t.Errorf("after the negative TTL: %v", got)
	}
}

func TestNameWithoutAddresses(t *testing.T) {
	s := newNameServer(t, `text.test. 60 TXT "x"`)
	r, _ := newResolver(t, nil, s)
	_, err := r.Lookup(t.Context(), "text.test")
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != "no address" {
		t.Errorf("error %v", err)
	}
}

func TestStaleWhileServersAreDown(t *testing.T) {
	s := newNameServer(t, "a.test. 30 A 192.0.2.1")
	r, c := newResolver(t, func(o *Options) {
		o.Stale = units.Duration(time.Hour)
		o.Timeout = units.Duration(time.Second)
	}, s)
	lookup(t, r, "a.test")
	s.dies()
	c.pass(31 * time.Second)
	for range 3 {
		if got := lookup(t, r, "a.test"); got[0] != "192.0.2.1" {
			t.Fatalf("while the server is down: %v", got)
		}
	}
	if r.Counters().Stale == 0 {
		t.Error("stale answers were not counted")
	}
	eventually(t, "the refresh gives up", func() bool { return r.Counters().Failures > 0 })

	s.serve("a.test. 30 A 192.0.2.2")
	c.pass(staleRest) // then the next look-up asks again, behind
	eventually(t, "the new answer", func() bool { return lookup(t, r, "a.test")[0] == "192.0.2.2" })

	s.dies()
	c.pass(2 * time.Hour)
	_, err := r.Lookup(t.Context(), "a.test")
	if e, ok := errors.AsType[*Error](err); !ok || !e.Timeout {
		t.Errorf("beyond the stale limit: error %v", err)
	}
}

func TestNegativeAnswerReplacesAStaleOne(t *testing.T) {
	s := newNameServer(t, "a.test. 30 A 192.0.2.1")
	r, c := newResolver(t, nil, s)
	lookup(t, r, "a.test")
	s.serve()
	c.pass(31 * time.Second)
	eventually(t, "the name is gone", func() bool {
		_, err := r.Lookup(t.Context(), "a.test")
		return err != nil
	})
}

func TestTruncatedAnswerIsFetchedOverTCP(t *testing.T) {
	s := newNameServer(t)
	records := []string{}
	for i := range 30 {
		records = append(records, fmt.Sprintf("big.test. 60 A 192.0.2.%d", i))
	}
	zone := parseZone(t, records)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := zoneReply(zone, q)
		if w.RemoteAddr().Network() == "udp" {
			reply.Answer, reply.Truncated = nil, true
		}
		_ = w.WriteMsg(reply)
	})
	r, _ := newResolver(t, nil, s)
	if got := lookup(t, r, "big.test"); len(got) != 30 {
		t.Errorf("%d addresses, want 30", len(got))
	}
}

func TestTCPOnly(t *testing.T) {
	s := newNameServer(t, "a.test. 60 A 192.0.2.1")
	zone := parseZone(t, []string{"a.test. 60 A 192.0.2.1"})
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		if w.RemoteAddr().Network() == "tcp" {
			_ = w.WriteMsg(zoneReply(zone, q))
		}
	})
	r, _ := newResolver(t, func(o *Options) {
		o.Search = nil
		writeFile(t, o.ResolvConf, "options use-vc\n", time.Unix(1000, 0))
	}, s)
	lookup(t, r, "a.test")
}

func TestSecondServerHelps(t *testing.T) {
	for name, broken := range map[string]func(dns.ResponseWriter, *dns.Msg){
		"silent": func(dns.ResponseWriter, *dns.Msg) {},
		"servfail": func(w dns.ResponseWriter, q *dns.Msg) {
			reply := new(dns.Msg)
			_ = w.WriteMsg(reply.SetRcode(q, dns.RcodeServerFailure))
		},
		"refused": func(w dns.ResponseWriter, q *dns.Msg) {
			reply := new(dns.Msg)
			_ = w.WriteMsg(reply.SetRcode(q, dns.RcodeRefused))
		},
		"lame": func(w dns.ResponseWriter, q *dns.Msg) {
			reply := new(dns.Msg)
			reply.SetReply(q)
			reply.Ns = parseZone(t, []string{"test. 60 NS ns.test."})
			_ = w.WriteMsg(reply)
		},
		"garbage": func(w dns.ResponseWriter, _ *dns.Msg) { _, _ = w.Write([]byte("no DNS at all")) },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := newNameServer(t), newNameServer(t, "a.test. 60 A 192.0.2.1")
			first.does(broken)
			r, c := newResolver(t, func(o *Options) { o.RetryAfter = units.Duration(50 * time.Millisecond) }, first, second)
			if got := lookup(t, r, "a.test"); got[0] != "192.0.2.1" {
				t.Errorf("%v", got)
			}
			if order := r.health.order(r.conf(), c.now()); order[0].String() != second.addr || len(order) != 2 {
				t.Errorf("the server that failed comes first again: %v", order)
			}
			c.pass(avoidServer)
			if order := r.health.order(r.conf(), c.now()); order[0].String() != first.addr {
				t.Errorf("the server that failed never comes first again: %v", order)
			}
		})
	}
}

func TestServersInTurn(t *testing.T) {
	r, c := newResolver(t, func(o *Options) {
		writeFile(t, o.ResolvConf, "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions rotate\n", time.Unix(1000, 0))
	})
	first := make(map[string]int)
	for range 10 {
		first[r.health.order(r.conf(), c.now())[0].Addr().String()]++
	}
	if first["192.0.2.1"] != 5 || first["192.0.2.2"] != 5 {
		t.Errorf("asked first: %v", first)
	}
}

func TestNoSuchNameNeedsOneFamily(t *testing.T) {
	s := newNameServer(t)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetRcode(q, dns.RcodeServerFailure)
		if q.Question[0].Qtype == dns.TypeA {
			reply = zoneReply(nil, q)
		}
		_ = w.WriteMsg(reply)
	})
	r, _ := newResolver(t, nil, s)
	_, err := r.Lookup(t.Context(), "a.test")
	if e, ok := errors.AsType[*Error](err); !ok || e.Reason != "no such name" {
		t.Errorf("error %v", err)
	}
}

// Datagrams get lost.
func TestQuestionIsRepeated(t *testing.T) {
	zone := parseZone(t, []string{"a.test. 60 A 192.0.2.1"})
	s := newNameServer(t)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		if s.timesAsked("a.test") > 2 {
			_ = w.WriteMsg(zoneReply(zone, q))
		}
	})
	r, _ := newResolver(t, func(o *Options) { o.RetryAfter = units.Duration(20 * time.Millisecond) }, s)
	lookup(t, r, "a.test")
}

func TestServerThatRefusesConnections(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.LocalAddr().String()
	_ = closed.Close()
	s := newNameServer(t, "a.test. 60 A 192.0.2.1")
	r, _ := newResolver(t, func(o *Options) { o.Servers = []string{addr, s.addr} })
	lookup(t, r, "a.test")

	r, _ = newResolver(t, func(o *Options) { o.Servers = []string{addr} })
	_, err = r.Lookup(t.Context(), "a.test")
	if e, ok := errors.AsType[*Error](err); !ok || !e.Timeout || !strings.Contains(e.Reason, "connection refused") {
		t.Errorf("error %v", err)
	}
}

func TestServerFailureIsNoTimeout(t *testing.T) {
	s := newNameServer(t)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg)
		_ = w.WriteMsg(reply.SetRcode(q, dns.RcodeServerFailure))
	})
	r, _ := newResolver(t, nil, s)
	_, err := r.Lookup(t.Context(), "a.test")
	if e, ok := errors.AsType[*Error](err); !ok || e.Timeout || !strings.Contains(e.Reason, "SERVFAIL") {
		t.Errorf("error %v", err)
	}
}

func TestDeadServersEndInTime(t *testing.T) {
	first, second := newNameServer(t), newNameServer(t)
	first.dies()
	second.dies()
	r, _ := newResolver(t, func(o *Options) { o.Timeout = units.Duration(300 * time.Millisecond) }, first, second)
	_, err := r.Lookup(withTimeout(t, 10*time.Second), "a.test")
	if e, ok := errors.AsType[*Error](err); !ok || !e.Timeout || errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestForgedRepliesAreIgnored(t *testing.T) {
	good := parseZone(t, []string{"a.test. 60 A 192.0.2.1"})
	forged := parseZone(t, []string{"a.test. 60 A 203.0.113.66"})
	s := newNameServer(t)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		id, question, other := zoneReply(forged, q), zoneReply(forged, q), zoneReply(forged, q)
		id.Id++
		question.Question[0].Name = "b.test."
		other.Question[0].Name = "A.test." // not the letters that were asked
		noReply := zoneReply(forged, q)
		noReply.Response = false
		for _, m := range []*dns.Msg{id, question, other, noReply, zoneReply(good, q)} {
			_ = w.WriteMsg(m)
		}
	})
	r, _ := newResolver(t, nil, s)
	if got := lookup(t, r, "a.test"); got[0] != "192.0.2.1" {
		t.Errorf("took %v", got)
	}
}

func TestRecordsNobodyAskedForAreIgnored(t *testing.T) {
	s := newNameServer(t)
	extra := parseZone(t, []string{"b.test. 60 A 203.0.113.66", "a.test. 60 A 192.0.2.1"})
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := zoneReply(extra, q)
		if q.Question[0].Qtype == dns.TypeA {
			reply.Answer = extra
		}
		_ = w.WriteMsg(reply)
	})
	r, _ := newResolver(t, nil, s)
	if got := lookup(t, r, "a.test"); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Errorf("took %v", got)
	}
}

func TestAliases(t *testing.T) {
	zone := []string{"www.test. 300 CNAME cdn.test.", "cdn.test. 20 CNAME edge.test.", "edge.test. 60 A 192.0.2.1",
		"one.test. 60 CNAME two.test.", "two.test. 60 CNAME one.test."}
	s := newNameServer(t, zone...)
	r, c := newResolver(t, func(o *Options) { o.Prefetch = false }, s)
	if got := lookup(t, r, "www.test"); got[0] != "192.0.2.1" {
		t.Errorf("%v", got)
	}
	c.pass(21 * time.Second) // the shortest TTL of the chain counts
	lookup(t, r, "www.test")
	if n := s.timesAsked("www.test"); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
	_, err := r.Lookup(t.Context(), "one.test")
	if e, ok := errors.AsType[*Error](err); !ok || !strings.Contains(e.Reason, "loop") {
		t.Errorf("aliases in a loop: %v", err)
	}
}

// A server that is not recursive answers with the alias alone.
func TestAliasesThatTakeSeveralQuestions(t *testing.T) {
	zone := parseZone(t, []string{"www.test. 60 CNAME edge.test.", "edge.test. 60 A 192.0.2.1", "x.test. 60 CNAME y.test.", "y.test. 60 CNAME x.test."})
	s := newNameServer(t)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := zoneReply(zone, q)
		if len(reply.Answer) > 1 {
			reply.Answer = reply.Answer[:1]
		}
		_ = w.WriteMsg(reply)
	})
	r, _ := newResolver(t, nil, s)
	if got := lookup(t, r, "www.test"); got[0] != "192.0.2.1" {
		t.Errorf("%v", got)
	}
	if _, err := r.Lookup(t.Context(), "x.test"); err == nil {
		t.Error("endless aliases led somewhere")
	}
}

func TestOneFamilyDoesNotWaitForTheOther(t *testing.T) {
	zone := parseZone(t, []string{"a.test. 60 A 192.0.2.1"})
	s := newNameServer(t)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Qtype == dns.TypeA { // AAAA is never answered
			_ = w.WriteMsg(zoneReply(zone, q))
		}
	})
	r, _ := newResolver(t, func(o *Options) { o.Timeout = units.Duration(time.Hour) }, s)
	if got := lookup(t, r, "a.test"); got[0] != "192.0.2.1" {
		t.Errorf("%v", got)
	}
	if got := lookup(t, r, "a.test"); got[0] != "192.0.2.1" { // joins the same flight
		t.Errorf("%v", got)
	}
}

func TestEqualLookupsShareOneQuery(t *testing.T) {
	s := newNameServer(t)
	zone := parseZone(t, []string{"a.test. 60 A 192.0.2.1"})
	release := make(chan struct{})
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		<-release
		_ = w.WriteMsg(zoneReply(zone, q))
	})
	r, _ := newResolver(t, nil, s)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := r.Lookup(t.Context(), "a.test"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all look-ups have begun", func() bool { return r.Counters().Lookups == 50 && s.queries.Load() == 2 })
	close(release)
	all.Wait()
	if n := s.timesAsked("a.test"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestCallerThatLeavesDoesNotSpoilIt(t *testing.T) {
	s := newNameServer(t)
	zone := parseZone(t, []string{"a.test. 60 A 192.0.2.1"})
	release := make(chan struct{})
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		<-release
		_ = w.WriteMsg(zoneReply(zone, q))
	})
	r, _ := newResolver(t, nil, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Lookup(ctx, "a.test")
	if _, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(release)
	lookup(t, r, "a.test")
}

func TestPrefetchOfNamesInUse(t *testing.T) {
	s := newNameServer(t, "used.test. 100 A 192.0.2.1", "idle.test. 100 A 192.0.2.1")
	r, c := newResolver(t, nil, s)
	lookup(t, r, "idle.test")
	for range prefetchHits + 1 {
		lookup(t, r, "used.test")
	}
	c.pass(95 * time.Second)
	lookup(t, r, "used.test")
	lookup(t, r, "idle.test")
	eventually(t, "the name in use is refreshed", func() bool { return s.timesAsked("used.test") == 2 })
	if n := s.timesAsked("idle.test"); n != 1 {
		t.Errorf("the idle name was asked for %d times, want once", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	zone := make([]string, 0, 50)
	for i := range 50 {
		zone = append(zone, fmt.Sprintf("n%d.test. 60 A 192.0.2.1", i))
	}
	s := newNameServer(t, zone...)
	r, _ := newResolver(t, func(o *Options) { o.CacheEntries = 10 }, s)
	for i := range 50 {
		lookup(t, r, fmt.Sprintf("n%d.test", i))
		lookup(t, r, "n0.test") // in use all the time
	}
	if n := r.Counters().Entries; n != 10 {
		t.Errorf("%d entries, want 10", n)
	}
	if n := s.timesAsked("n0.test"); n != 1 {
		t.Errorf("the name used most was asked for %d times, want once", n)
	}
	r.Flush()
	if n := r.Counters().Entries; n != 0 {
		t.Errorf("%d entries after a flush", n)
	}
}

func TestSearchDomainsAreForSingleLabels(t *testing.T) {
	s := newNameServer(t, "intranet.corp.test. 60 A 192.0.2.1", "dev. 60 A 192.0.2.2", "a.b.corp.test. 60 A 192.0.2.3")
	r, _ := newResolver(t, func(o *Options) { o.Search = []string{"lab.test", "corp.test"} }, s)
	if got := lookup(t, r, "intranet"); got[0] != "192.0.2.1" {
		t.Errorf("%v", got)
	}
	if got := lookup(t, r, "dev"); got[0] != "192.0.2.2" {
		t.Errorf("%v", got)
	}
	_, err := r.Lookup(t.Context(), "a.b")
	if e, ok := errors.AsType[*Error](err); !ok || e.Host != "a.b" {
		t.Errorf("a name with a dot is absolute: %v", err)
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	hostsFile, resolvConf := filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")
	s := newNameServer(t, "a.test. 60 A 192.0.2.1")
	writeFile(t, hostsFile, "192.0.2.7 box box.lan # the box\n", time.Unix(1000, 0))
	r, c := newResolver(t, func(o *Options) { o.Hosts, o.ResolvConf = hostsFile, resolvConf })

	if got := lookup(t, r, "Box.lan"); got[0] != "192.0.2.7" {
		t.Errorf("%v", got)
	}
	writeFile(t, hostsFile, "192.0.2.8 box.lan\n", time.Unix(2000, 0))
	c.pass(recheckEvery)
	if got := lookup(t, r, "box.lan"); got[0] != "192.0.2.8" {
		t.Errorf("after the file changed: %v", got)
	}

	_, err := r.Lookup(t.Context(), "a.test")
	if err == nil || !strings.Contains(err.Error(), resolvConf+" names no server; set dns.servers") {
		t.Errorf("without a server: %v", err)
	}
	writeFile(t, resolvConf, "nameserver 127.0.0.1\n", time.Unix(1000, 0))
	c.pass(recheckEvery)
	if got := r.Servers(); !slices.Equal(got, []string{"127.0.0.1:53"}) {
		t.Errorf("servers %v", got)
	}
	_ = s
}

func TestCloseEndsLookups(t *testing.T) {
	s := newNameServer(t)
	s.dies()
	r, _ := newResolver(t, func(o *Options) { o.Timeout = units.Duration(time.Hour) }, s)
	failed := make(chan error, 1)
	go func() {
		_, err := r.Lookup(t.Context(), "a.test")
		failed <- err
	}()
	eventually(t, "the query", func() bool { return s.queries.Load() > 0 })
	_ = r.Close()
	if err := <-failed; !errors.Is(err, errClosed) {
		t.Errorf("under way: %v", err)
	}
	if _, err := r.Lookup(t.Context(), "b.test"); !errors.Is(err, errClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTooManyLookups(t *testing.T) {
	s := newNameServer(t)
	s.dies()
	r, _ := newResolver(t, func(o *Options) {
		o.MaxLookups = 1
		o.Timeout = units.Duration(time.Hour)
	}, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range waitingShare {
		_, _ = r.Lookup(ctx, fmt.Sprintf("n%d.test", i))
	}
	if _, err := r.Lookup(t.Context(), "more.test"); !errors.Is(err, errBusy) {
		t.Errorf("error %v", err)
	}
}

func TestServerWithoutEDNS(t *testing.T) {
	zone := parseZone(t, []string{"a.test. 60 A 192.0.2.1"})
	s := newNameServer(t)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := zoneReply(zone, q)
		if q.IsEdns0() != nil {
			reply = new(dns.Msg)
			reply.SetRcode(q, dns.RcodeFormatError)
			reply.Question = nil
		}
		_ = w.WriteMsg(reply)
	})
	r, _ := newResolver(t, nil, s)
	lookup(t, r, "a.test")
}

func TestOptionsTellAllProblems(t *testing.T) {
	o := DefaultOptions()
	o.Servers = []string{"192.0.2.1", "dns.test", "192.0.2.1:0"}
	o.Timeout, o.CacheEntries, o.Connect.MaxAddresses = 0, 0, -1
	o.MinTTL = o.MaxTTL + 1
	err := o.Validate()
	for _, want := range []string{"dns.servers[1]:", "dns.servers[2]:", "dns.timeout:", "dns.cache_entries:", "dns.connect.max_addresses:", "dns.min_ttl:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	if err := DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkLookupCached(b *testing.B) {
	o := DefaultOptions()
	r, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // returns nil
	s := answer{addrs: loopback, ttl: time.Hour}
	r.cache.put(newEntry("www.example.com", s, &o, time.Now()))
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Lookup(ctx, "www.example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
