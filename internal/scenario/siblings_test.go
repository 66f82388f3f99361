package scenario

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// freeUDP is an address on loopback that nobody has now.
func freeUDP(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer c.Close()
	return c.LocalAddr().String()
}

// place is where a sibling is: chosen before it starts, since the others must
// know it.
type place struct{ name, http, icp string }

func newPlace(t *testing.T, name string) place {
	t.Helper()
	return place{name, freePort(t), freeUDP(t)}
}

// sibling is an entry of siblings.list.
func (p place) sibling() string {
	host, port, _ := net.SplitHostPort(p.http)
	_, icp, _ := net.SplitHostPort(p.icp)
	return fmt.Sprintf("{name: %s, host: %s, http_port: %s, icp_port: %s}", p.name, host, port, icp)
}

// startBeside starts a node at a place, with siblings that it waits for as long
// as a loaded machine needs.
func startBeside(t *testing.T, at place, more string, others ...place) *node {
	t.Helper()
	var list []string
	for _, o := range others {
		list = append(list, o.sibling())
	}
	file := config(t, "icp: {listen: [%q]}\nsiblings: {min_wait: 10s, max_wait: 10s, list: [%s]}\nproxy: {fill: {sibling_timeout: 20s%s}}\naccess_log: {icp: true}\n",
		at.icp, strings.Join(list, ", "), more)
	return start(t, "--standalone=false", "--name", at.name, "--listen", at.http, "--config", file)
}

// What one node has the others get from it, and the origin is asked once.
func TestFourSiblings(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	places := make([]place, 4)
	for i := range places {
		places[i] = newPlace(t, fmt.Sprintf("n%d", i+1))
	}
	var nodes []*node
	for i, at := range places {
		others := append(append([]place{}, places[:i]...), places[i+1:]...)
		nodes = append(nodes, startBeside(t, at, "", others...))
	}
	for i, n := range nodes {
		before := o.asked("*")
		for j := range 200 {
			path := fmt.Sprintf("/%d", j)
			n.get(o.url(path)).want(t, 200, "", volume(path))
		}
		want := 0
		if i == 0 {
			want = 200
		}
		if got := o.asked("*") - before; got != want {
			t.Errorf("node %d: the origin was asked %d times, want %d", i+1, got, want)
		}
	}
	var fetched int
	for _, e := range nodes[1].log(200) {
		if strings.HasPrefix(e.hier, "SIBLING_HIT/n") {
			fetched++
		}
	}
	if fetched != 200 {
		t.Errorf("%d fetches from siblings", fetched)
	}
	r := nodes[3].get(o.url("/7"))
	if s := strings.Join(r.Header.Values("Cache-Status"), ", "); !strings.Contains(s, "; hit") || !strings.Contains(s, ", n4; ") {
		t.Errorf("Cache-Status %q", s)
	}
}

// squidBeside runs a squid at a place, with cachenode as its sibling.
func squidBeside(t *testing.T, at place, other place) (logs string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(other.http)
	_, icp, _ := net.SplitHostPort(other.icp)
	_, own, _ := net.SplitHostPort(at.icp)
	_, logs = squidAt(t, at.http,
		"cache allow all", "cache_mem 16 MB", "icp_port "+own, "icp_access allow all", "log_icp_queries on",
		"minimum_direct_rtt 0", "minimum_direct_hops 0", "icp_query_timeout 10000",
		fmt.Sprintf("cache_peer %s sibling %s %s no-digest no-netdb-exchange", host, port, icp))
	return logs
}

func TestSquidAsSibling(t *testing.T) {
	t.Parallel()
	wants(t, "squid")
	o := newOrigin(t)
	library(o)
	us, them := newPlace(t, "n1"), newPlace(t, "squid1")
	n := startBeside(t, us, "", them)
	logs := squidBeside(t, them, us)
	through := func(path string) {
		t.Helper()
		out, code := curl(t, "-x", "http://"+them.http, o.url(path))
		if code != 0 || out != volume(path) {
			t.Errorf("squid: %s: %d %d bytes", path, code, len(out))
		}
	}
	said := func(what string) {
		t.Helper()
		eventually(t, what+" in squid's log", func() bool {
			b, err := os.ReadFile(logs)
			return err == nil && strings.Contains(string(b), what)
		})
	}
	// Squid has it, and we fetch it there.
	through("/1")
	r := n.get(o.url("/1"))
	r.want(t, 200, "", volume("/1"))
	if o.asked("/1") != 1 || !strings.Contains(r.Header.Get("Via"), "squid") {
		t.Errorf("asked %d times, %v", o.asked("/1"), r.Header)
	}
	eventually(t, "log line", func() bool { return strings.Contains(strings.Join(n.logLines(), "\n"), "SIBLING_HIT/squid1") })
	said("UDP_HIT/000")
	// We have it, and squid fetches it here. Squid finds out that our port is open
	// only when it has tried.
	i := 10
	eventually(t, "squid using us", func() bool {
		i++
		path := fmt.Sprintf("/%d", i)
		n.get(o.url(path)).want(t, 200, "", volume(path))
		through(path)
		return o.asked(path) == 1
	})
	said("SIBLING_HIT/127.0.0.1")
	eventually(t, "UDP_HIT in our log", func() bool {
		lines := strings.Join(n.logLines(), "\n")
		return strings.Contains(lines, "UDP_HIT/000") && strings.Contains(lines, "ICP_QUERY http://") && strings.Contains(lines, "UDP_MISS/000")
	})
	// Neither has it.
	n.get(o.url("/500")).want(t, 200, "", volume("/500"))
	said("UDP_MISS/000")
	// A page that a reload asks for comes from the origin.
	through("/600")
	n.get(o.url("/600"), "Cache-Control: max-age=0").want(t, 200, "", volume("/600"))
	if o.asked("/600") != 2 {
		t.Errorf("a reload asked the origin %d times", o.asked("/600")-1)
	}
}
