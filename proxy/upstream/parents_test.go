package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/internal/units"
)

// proxyParent is a small proxy: it answers plain requests itself with what it
// was asked, and carries CONNECT. early is sent right behind the 200.
func proxyParent(t *testing.T, name, early string) string {
	return rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			if req.Method == http.MethodConnect {
				far, err := net.Dial("tcp", req.Host)
				if err != nil {
					_, _ = io.WriteString(nc, "HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n")
					return
				}
				_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nX: y\r\n\r\n"+early)
				go func() {
					_, _ = io.Copy(nc, far)
					_ = nc.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(far, br)
				_ = far.Close()
				return
			}
			s := name + " " + req.RequestURI + " " + req.Host + " " + req.Header.Get("Proxy-Authorization")
			_, _ = fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
		}
	})
}

// deadAddr is an address where nobody listens.
func deadAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // that is the point
	return ln.Addr().String()
}

func withParents(policy, direct string, addrs ...string) func(*Options) {
	return func(o *Options) {
		o.Parents.Policy, o.Parents.Direct = policy, direct
		for i, a := range addrs {
			o.Parents.List = append(o.Parents.List, Parent{Name: fmt.Sprint("p", i+1), URL: a})
		}
	}
}

// ask fetches http://origin.test/x and says who answered, by which route.
func ask(c *Client) (string, Route, error) {
	resp, route, err := c.Do(newRequest("GET", "http://origin.test/x", nil), nil)
	if err != nil {
		return "", route, err
	}
	b, err := io.ReadAll(resp.Body)
	name, _, _ := strings.Cut(string(b), " ")
	return name, route, err
}

func TestParentGetsTheAbsoluteForm(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := proxyParent(t, "p1", "")
	c := newClient(t, func(o *Options) {
		o.Parents.List = []Parent{{Name: "p1", URL: "http://" + addr, User: "me", PasswordFile: password}}
	})
	for _, tc := range []struct{ opaque, want string }{
		{"", "p1 http://origin.test/a%20b?q origin.test Basic bWU6c2VjcmV0"},
		{"/%7e", "p1 http://origin.test/%7e?q origin.test Basic bWU6c2VjcmV0"},
	} {
		req := newRequest("GET", "http://origin.test/a%20b?q", nil)
		req.URL.Opaque = tc.opaque
		resp, route, err := c.Do(req, nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != tc.want {
			t.Errorf("got %q, want %q", b, tc.want)
		}
		if route != (Route{accesslog.HierFirstUpParent, "p1"}) {
			t.Errorf("route %+v", route)
		}
	}
	if idle, open := c.pool.counts(); idle != 1 || open != 1 {
		t.Errorf("idle %d open %d: one connection serves every origin", idle, open)
	}
}

func TestFailover(t *testing.T) {
	c := newClient(t, withParents("failover", "never", deadAddr(t), proxyParent(t, "p2", ""), proxyParent(t, "p3", "")))
	for range 5 {
		name, route, err := ask(c)
		if err != nil || name != "p2" || route != (Route{accesslog.HierFirstUpParent, "p2"}) {
			t.Errorf("%s by %+v, %v", name, route, err)
		}
	}
	if st := c.Stats(); st.Parents[0].Up || !st.Parents[1].Up {
		t.Errorf("after three failures: %+v", st.Parents)
	}
}

func TestRoundRobin(t *testing.T) {
	c := newClient(t, withParents("round-robin", "never", proxyParent(t, "p1", ""), proxyParent(t, "p2", "")))
	var got []string
	for range 4 {
		name, route, err := ask(c)
		if err != nil || route.Hier != accesslog.HierRoundRobinParent || route.Peer != name {
			t.Errorf("%s by %+v, %v", name, route, err)
		}
		got = append(got, name)
	}
	if fmt.Sprint(got) != "[p1 p2 p1 p2]" {
		t.Errorf("in turn: %v", got)
	}
}

func TestGoingDirect(t *testing.T) {
	origin := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\norigin")
	t.Run("as a fallback", func(t *testing.T) {
		c := newClient(t, withParents("failover", "fallback", deadAddr(t)))
		if _, body, err := fetch(c, "http://"+origin+"/"); err != nil || body != "origin" {
			t.Errorf("%q, %v", body, err)
		}
	})
	t.Run("never", func(t *testing.T) {
		c := newClient(t, withParents("failover", "never", deadAddr(t)))
		_, _, err := fetch(c, "http://"+origin+"/")
		wantError(t, err, "ERR_CONNECT_FAIL", 502, "connection_refused")
	})
	t.Run("exempt", func(t *testing.T) {
		change := withParents("failover", "never", deadAddr(t))
		c := newClient(t, func(o *Options) {
			change(o)
			o.Parents.Exempt = []string{"127.0.0.0/8"}
		})
		if _, body, err := fetch(c, "http://"+origin+"/"); err != nil || body != "origin" {
			t.Errorf("%q, %v", body, err)
		}
	})
}

func TestExemptions(t *testing.T) {
	for _, tc := range []struct {
		rule, host string
		want       bool
	}{
		{"example.com", "example.com", true},
		{".example.com", "www.example.com", true},
		{"*.example.com", "a.b.example.com", true},
		{"Example.COM.", "www.example.com", true},
		{"example.com", "notexample.com", false},
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"10.0.0.0/8", "11.1.2.3", false},
		{"[2001:db8::1]", "2001:db8::1", true},
		{"2001:db8::/32", "2001:db9::1", false},
	} {
		e, err := parseExempt(tc.rule)
		if err != nil || e.matches(tc.host) != tc.want {
			t.Errorf("%s matches %s: %v, want %v (%v)", tc.rule, tc.host, !tc.want, tc.want, err)
		}
	}
}

func TestTunnelThroughParent(t *testing.T) {
	echo := rawOrigin(t, func(nc net.Conn, br *bufio.Reader) {
		line, _ := br.ReadString('\n')
		_, _ = io.WriteString(nc, line)
	})
	for _, early := range []string{"", "220 early\n"} {
		c := newClient(t, withParents("failover", "never", deadAddr(t), proxyParent(t, "p2", early)))
		nc, route, err := c.Dial(context.Background(), echo)
		if err != nil {
			t.Fatal(err)
		}
		if route != (Route{accesslog.HierFirstUpParent, "p2"}) {
			t.Errorf("route %+v", route)
		}
		if _, isTCP := nc.(*net.TCPConn); isTCP != (early == "") {
			t.Errorf("connection is a %T", nc)
		}
		_, _ = io.WriteString(nc, "hello\n")
		if got, err := io.ReadAll(nc); err != nil || string(got) != early+"hello\n" {
			t.Errorf("got %q, %v", got, err)
		}
		_ = nc.Close()
	}
}

func TestParentThatRefusesTheTunnel(t *testing.T) {
	for code, want := range map[int]*Error{
		403: {Page: "ERR_ACCESS_DENIED", Status: 403, Type: "http_request_denied"},
		407: {Page: "ERR_CANNOT_FORWARD", Status: 502, Type: "proxy_configuration_error"},
		503: {Page: "ERR_CONNECT_FAIL", Status: 502, Type: "destination_unavailable"},
		504: {Page: "ERR_CONNECT_FAIL", Status: 504, Type: "connection_timeout"},
	} {
		addr := answering(t, fmt.Sprintf("HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n", code))
		c := newClient(t, withParents("failover", "fallback", addr))
		_, _, err := c.Dial(context.Background(), "origin.test:443")
		wantError(t, err, want.Page, want.Status, want.Type)
	}
}

func TestParentThatHangsOnConnect(t *testing.T) {
	addr := rawOrigin(t, func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	change := withParents("failover", "never", addr)
	c := newClient(t, func(o *Options) {
		change(o)
		o.ConnectTimeout = units.Duration(50 * time.Millisecond)
	})
	_, _, err := c.Dial(context.Background(), "origin.test:443")
	wantError(t, err, "ERR_CONNECT_FAIL", 504, "connection_timeout")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = c.Dial(ctx, "origin.test:443")
	wantError(t, err, "ERR_CLIENT_GONE", 499, "http_request_error")
}

func TestTLSThroughParent(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RequestURI)
	}))
	defer srv.Close()
	c := newClient(t, withParents("failover", "never", proxyParent(t, "p1", "")))
	c.tls.RootCAs = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for range 2 {
		resp, body, err := fetch(c, srv.URL+"/x")
		if err != nil || body != "/x" {
			t.Errorf("%v %q, %v", resp, body, err)
		}
	}
	if idle, _ := c.pool.counts(); idle != 1 {
		t.Errorf("%d idle connections, want 1", idle)
	}
	_ = c.Close()
}

func TestHealthChecks(t *testing.T) {
	var up atomic.Bool
	d := dialerFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !up.Load() {
			return nil, fmt.Errorf("parent is away")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
	o := DefaultOptions()
	withParents("failover", "never", proxyParent(t, "p1", ""))(&o)
	o.Parents.Health.Interval = units.Duration(2 * time.Millisecond)
	c, err := New(o, Deps{Dialer: &net.Dialer{}, ParentDialer: d})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	for _, want := range []bool{false, true, false} {
		up.Store(want)
		for deadline := time.Now().Add(10 * time.Second); c.Stats().Parents[0].Up != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("parent does not turn to up=%v", want)
			}
		}
	}
	cancel()
	<-done
	_ = c.Close()
}

type dialerFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (f dialerFunc) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

func TestRiseAndFall(t *testing.T) {
	q := &parent{}
	o := HealthOptions{Rise: 2, Fall: 3}
	var got strings.Builder
	for _, ok := range []bool{false, false, true, false, false, false, true, false, true, true, false} {
		q.count(ok, o)
		got.WriteByte("ud"[map[bool]int{false: 0, true: 1}[q.down]])
	}
	if got.String() != "uuuuuddddu"+"u" {
		t.Errorf("states %s", got.String())
	}
}
