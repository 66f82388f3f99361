package dns

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/cachenode/cachenode/internal/units"
)

// nameServer is a real name server on loopback, over UDP and TCP.
type nameServer struct {
	t    *testing.T
	addr string

	mu      sync.Mutex // guards answer and asked
	answer  func(w dns.ResponseWriter, q *dns.Msg)
	asked   map[dns.Question]int
	queries atomic.Int64
}

// newNameServer starts a server with the records of zone, in the text form of
// zone files. Names without records do not exist, for 60 s.
func newNameServer(t *testing.T, zone ...string) *nameServer {
	t.Helper()
	s := &nameServer{t: t, asked: make(map[dns.Question]int)}
	s.serve(zone...)
	packets, stream := listenBoth(t)
	s.addr = packets.LocalAddr().String()
	for _, server := range []*dns.Server{{PacketConn: packets}, {Listener: stream}} {
		started := make(chan struct{})
		server.Handler = dns.HandlerFunc(s.handle)
		server.NotifyStartedFunc = func() { close(started) }
		go server.ActivateAndServe() //nolint:errcheck // ends with Shutdown
		<-started
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return s
}

// listenBoth finds a port that is free for UDP and for TCP.
func listenBoth(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		stream, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", stream.Addr().String())
		if err == nil {
			return packets, stream
		}
		_ = stream.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func (s *nameServer) handle(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	s.asked[q.Question[0]]++
	answer := s.answer
	s.mu.Unlock()
	s.queries.Add(1)
	answer(w, q)
}

// serve changes the zone.
func (s *nameServer) serve(zone ...string) {
	records := parseZone(s.t, zone)
	s.does(func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(zoneReply(records, q)) })
}

// does changes what the server does with a query.
func (s *nameServer) does(answer func(w dns.ResponseWriter, q *dns.Msg)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// dies makes the server silent.
func (s *nameServer) dies() { s.does(func(dns.ResponseWriter, *dns.Msg) {}) }

// timesAsked counts the A queries for a name.
func (s *nameServer) timesAsked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[dns.Question{Name: name + ".", Qtype: dns.TypeA, Qclass: dns.ClassINET}]
}

func parseZone(t *testing.T, zone []string) []dns.RR {
	t.Helper()
	records := make([]dns.RR, 0, len(zone))
	for _, line := range zone {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rr)
	}
	return records
}

// zoneReply answers as a recursive server does, with the whole chain of aliases.
func zoneReply(records []dns.RR, q *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	reply.SetReply(q)
	reply.RecursionAvailable = true
	name, exists := q.Question[0].Name, false
	for range 20 {
		next := ""
		for _, rr := range records {
			if rr.Header().Name != name {
				continue
			}
			exists = true
			alias, isAlias := rr.(*dns.CNAME)
			if isAlias {
				next = alias.Target
			}
			if isAlias || rr.Header().Rrtype == q.Question[0].Qtype {
				reply.Answer = append(reply.Answer, rr)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	if len(reply.Answer) == 0 {
		reply.Ns = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 3600},
			Ns:  "ns.test.", Mbox: "m.test.", Minttl: 60,
		}}
	}
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	return reply
}

// clock is a time that passes only when told to.
type clock struct {
	mu sync.Mutex // guards t
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// newResolver returns a resolver that asks the servers, with a clock of its own.
func newResolver(t *testing.T, change func(*Options), servers ...*nameServer) (*Resolver, *clock) {
	t.Helper()
	o := DefaultOptions()
	o.Hosts = ""
	o.ResolvConf = filepath.Join(t.TempDir(), "resolv.conf")
	o.Timeout = units.Duration(time.Minute) // no repetition on a busy machine
	o.RetryAfter = units.Duration(time.Minute)
	o.StaleAfter = units.Duration(50 * time.Millisecond)
	for _, s := range servers {
		o.Servers = append(o.Servers, s.addr)
	}
	if change != nil {
		change(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	c := &clock{t: time.Unix(1_800_000_000, 0)}
	r.now = c.now
	return r, c
}

func lookup(t *testing.T, r *Resolver, host string) []string {
	t.Helper()
	addrs, err := r.Lookup(t.Context(), host)
	if err != nil {
		t.Fatalf("look up %s: %v", host, err)
	}
	return texts(addrs)
}

func texts(addrs []netip.Addr) []string {
	list := make([]string, 0, len(addrs))
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list
}

// eventually waits until a condition is met that something in the background
// brings about.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("did not come about: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func writeFile(t *testing.T, path, text string, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func withTimeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
