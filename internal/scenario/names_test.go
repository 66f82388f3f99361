package scenario

import (
	"net"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// nameServer is a DNS server on loopback, over UDP.
type nameServer struct {
	addr string

	mu      sync.Mutex // guards what follows
	silent  bool
	answers map[string][]string // name to the addresses of its answers, in turn
	asked   map[string]int      // for addresses of IPv4
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	s := &nameServer{addr: conn.LocalAddr().String(), answers: map[string][]string{}, asked: map[string]int{}}
	srv := &dns.Server{PacketConn: conn, Handler: s}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.ActivateAndServe() }) // ends with Shutdown
	t.Cleanup(func() {
		_ = srv.Shutdown()
		conn.Close()
		served.Wait()
	})
	return s
}

// answer gives a name its addresses: each question gets the next one, and the
// last for ever. All have a TTL of a second.
func (s *nameServer) answer(name string, addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[name] = addrs
}

func (s *nameServer) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent || len(q.Question) != 1 {
		return
	}
	name := q.Question[0].Name
	a := new(dns.Msg)
	a.SetReply(q)
	addrs, known := s.answers[name]
	switch {
	case !known:
		a.Rcode = dns.RcodeNameError
	case q.Question[0].Qtype == dns.TypeA:
		turn := min(s.asked[name], len(addrs)-1)
		s.asked[name]++
		a.Answer = append(a.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.ParseIP(addrs[turn]),
		})
	}
	_ = w.WriteMsg(a) // who asked may have gone
}
