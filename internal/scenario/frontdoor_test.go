package scenario

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// door is the virtual IP of a cluster as its clients see it.
type door struct {
	t    *testing.T
	addr string
	from net.IP // clients' address
}

// steady is an election that a busy machine does not upset, and nodes that get
// their full share at once.
const steady = "vip: {heartbeat: 1s, lease: 8s}\nfrontdoor: {slowstart: 0s, check: {timeout: 10s}}\n"

// behindDoor makes a cluster of n nodes with a virtual IP on loopback.
func behindDoor(t *testing.T, n int, args ...string) (*door, []*node) {
	t.Helper()
	vip := loopback()
	_, port, _ := net.SplitHostPort(freePort(t))
	d := &door{t: t, addr: net.JoinHostPort(vip, port), from: net.ParseIP(loopback())}
	nodes := []*node{member(t, "n1", append([]string{"--config", config(t, steady), "--vip", vip + "/32", "--vip-port", port}, args...)...)}
	for len(nodes) < n {
		nodes = append(nodes, joined(t, "n"+string(rune('1'+len(nodes))), nodes[0]))
	}
	d.held(nodes[0], "n1")
	eventually(t, "all nodes are ready at the front door", func() bool { return d.up(nodes[0]) == n })
	return d, nodes
}

// holder is who holds the address as a node sees it; empty: nobody.
func (d *door) holder(as *node) string {
	var st struct{ Holder string }
	if code, out := as.here("vip", "--format", "json"); code != 0 || json.Unmarshal([]byte(out), &st) != nil {
		return ""
	}
	return st.Holder
}

// held waits until a node sees that another holds the address.
func (d *door) held(as *node, by string) {
	d.t.Helper()
	eventually(d.t, "the virtual IP is held by "+by, func() bool { return d.holder(as) == by })
}

// left waits until a node sees that the address has a holder other than one.
func (d *door) left(as *node, by string) {
	d.t.Helper()
	eventually(d.t, "the virtual IP is held by another than "+by, func() bool {
		h := d.holder(as)
		return h != "" && h != by
	})
}

// up counts the nodes that the front door of a node would send clients to.
func (d *door) up(as *node) (n int) {
	var st struct{ Nodes []struct{ Status string } }
	code, out := as.here("frontdoor", "--format", "json")
	if code != 0 || json.Unmarshal([]byte(out), &st) != nil {
		return 0
	}
	for _, node := range st.Nodes {
		if node.Status == "UP" {
			n++
		}
	}
	return n
}

// client asks through the address; kept says whether on kept connections.
func (d *door) client(kept bool) *http.Client {
	tr := &http.Transport{
		Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: d.addr}), DisableKeepAlives: !kept, DisableCompression: true,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: d.from}}).DialContext,
	}
	d.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 2 * patience}
}

// spread asks until every one of some nodes has answered.
func (d *door) spread(target string, nodes ...string) {
	d.t.Helper()
	c := d.client(false)
	seen := map[string]int{}
	eventually(d.t, "answers of "+strings.Join(nodes, ", "), func() bool {
		r, err := ask(c, request(d.t, http.MethodGet, target, nil))
		must(d.t, err)
		if r.StatusCode != http.StatusOK {
			d.t.Fatalf("%s %q", r.Status, r.Body)
		}
		words := strings.Fields(strings.Join(r.Header.Values("Via"), ", ")) // of a sibling too
		seen[words[len(words)-2]]++
		for _, n := range nodes {
			if seen[n] == 0 {
				return false
			}
		}
		return true
	})
}

// A cluster has one address; its clients are spread over all nodes, which know
// them by their own addresses, and a node that dies is not noticed.
func TestFrontDoor(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	d, nodes := behindDoor(t, 3)
	d.spread(o.url("/1"), "n1", "n2", "n3")
	for _, n := range nodes {
		eventually(t, "a line with the client's address in the log", func() bool {
			return slices.ContainsFunc(n.log(1), func(e entry) bool { return e.client == d.from.String() })
		})
	}
	code, out := nodes[0].here("frontdoor")
	if code != 0 {
		t.Fatal(out)
	}
	wantIn(t, out, d.addr+", held by this node", "n3", "L7OK")
	_, out = nodes[1].here("frontdoor")
	wantIn(t, out, "held by another node")
	nodes[0].get("http://"+d.addr+"/").wantError(t, http.StatusBadGateway, "ERR_CANNOT_FORWARD", "proxy_loop_detected")

	nodes[1].kill()
	d.spread(o.url("/1"), "n1", "n3") // not one fails
	nodes[1].launch()
	nodes[1].ready()
	d.spread(o.url("/1"), "n1", "n2", "n3")
}

// The holder is stopped under load: it hands the address over first, and lets
// what it carries end.
func TestStopOfTheHolderIsNotNoticed(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	library(o)
	more := make(chan struct{})
	body := pattern(500_000)
	o.page("/slow", slowly(body, more))
	d, nodes := behindDoor(t, 3)

	// A download through each node, and requests on kept and new connections.
	var downloads sync.WaitGroup
	started := make(chan struct{}, 6)
	for range cap(started) {
		downloads.Go(func() {
			r, err := d.client(false).Do(request(t, http.MethodGet, o.url("/slow")+"?"+loopback(), nil))
			started <- struct{}{}
			if err != nil {
				t.Errorf("download: %v", err)
				return
			}
			defer r.Body.Close()
			if b, err := io.ReadAll(r.Body); err != nil || string(b) != body {
				t.Errorf("download of %d bytes: %v", len(b), err)
			}
		})
	}
	for range cap(started) {
		<-started
	}
	var enough atomic.Bool
	var load sync.WaitGroup
	var asked atomic.Int64
	for _, kept := range []bool{false, true, true} {
		load.Go(func() {
			c := d.client(kept)
			for !enough.Load() {
				r, err := ask(c, request(t, http.MethodGet, o.url("/1"), nil))
				if err != nil || r.StatusCode != http.StatusOK {
					t.Errorf("kept connection %v: %v, %v", kept, r, err)
					return
				}
				asked.Add(1)
				time.Sleep(5 * time.Millisecond) // a rate that a busy machine can take
			}
		})
	}
	enter := func() {
		from := asked.Load()
		eventually(t, "more requests", func() bool { return asked.Load() > from+20 || t.Failed() })
	}
	enter()
	stopped := make(chan struct{})
	go func() { nodes[0].stop(); close(stopped) }()
	d.left(nodes[1], "n1")
	enter()
	close(more)
	downloads.Wait()
	<-stopped
	enter()
	enough.Store(true)
	load.Wait()
}
