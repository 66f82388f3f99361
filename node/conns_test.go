package node

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMaxConns(t *testing.T) {
	for _, tt := range []struct {
		files uint64
		want  int
	}{{0, 16}, {64, 16}, {128, 32}, {1024, 480}, {1 << 63, 1 << 20}, {^uint64(0), 1 << 20}} {
		if got := maxConns(tt.files); got != tt.want {
			t.Errorf("%d files: %d connections, want %d", tt.files, got, tt.want)
		}
	}
}

// Connections far beyond the limit are turned away before they are read.
func TestTheGateKeepsTheReserve(t *testing.T) {
	o := options(t)
	o.Server.MaxConnections = 4
	n := start(t, o, Deps{})
	var open []net.Conn
	for range 6 {
		c, err := net.Dial("tcp", n.ProxyHostPort())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	until(t, "six connections are open", func() bool { return n.server.Stats().Open == 6 })
	c, err := net.Dial("tcp", n.ProxyHostPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	said, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(said), "HTTP/1.1 503 ") {
		t.Errorf("%v, %q", err, said)
	}
	for _, c := range open {
		c.Close()
	}
	until(t, "all have gone", func() bool { return n.server.Stats().Open == 0 })
}

// With too many connections open, further ones get 503 at once; when some have
// gone all is as before. The admin interface answers throughout.
func TestTooManyConnections(t *testing.T) {
	at := origin(t, page)
	o := options(t)
	o.Server.MaxConnections = 3
	n := start(t, o, Deps{})
	var idle []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", n.ProxyHostPort())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	until(t, "three connections are open", func() bool { return n.server.Stats().Open == 3 })
	if list := n.connections(); len(list) != 3 || list[0].ID >= list[2].ID || list[0].Since.IsZero() || !list[0].Client.IsValid() {
		t.Errorf("listed %+v", list)
	}
	res, _ := n.get(at + "/x")
	if res.StatusCode != 503 || !res.Close || !strings.Contains(res.Header.Get("Proxy-Status"), "connection_limit_reached") {
		t.Errorf("got %d, close %v, %v", res.StatusCode, res.Close, res.Header)
	}
	if code, said := n.probe("/livez"); code != 200 {
		t.Errorf("livez: %d %s", code, said)
	}
	for _, c := range idle {
		c.Close()
	}
	until(t, "there is room again", func() bool { return n.server.Stats().Open == 0 })
	if res, _ := n.get(at + "/x"); res.StatusCode != 200 {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
	n.end()
	b, err := os.ReadFile(filepath.Join(n.Options().Data, "access.log"))
	if err != nil || !strings.Contains(string(b), " NONE_NONE/503 ") || strings.Count(string(b), "\n") != 2 {
		t.Errorf("%v\n%s", err, b)
	}
}
