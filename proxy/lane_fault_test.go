package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cachenode/cachenode/accesslog"
	"github.com/cachenode/cachenode/acl"
)

// Rules that want a user or addresses keep the lane shut, and one that refuses
// is answered the long way.
func TestShortLaneKeepsTheRules(t *testing.T) {
	d := newRoad(t, true)
	d.page("/p", laneText)
	d.dial().ask(plainGet)
	ask := func(change func(*acl.Options)) (string, bool) {
		t.Helper()
		d.setRules(change)
		long := d.long.Load()
		text := d.dial().ask(plainGet)
		return text[:len("HTTP/1.1 200")], d.long.Load() == long
	}
	if status, short := ask(func(*acl.Options) {}); status != "HTTP/1.1 200" || !short {
		t.Error(status, short)
	}
	if status, short := ask(func(o *acl.Options) { o.AllowFrom = []string{"10.0.0.0/8"} }); status != "HTTP/1.1 403" || short {
		t.Error("a client that is not allowed:", status, short)
	}
	users := filepath.Join(t.TempDir(), "users")
	d.must(os.WriteFile(users, []byte("u:$2a$04$4Wn3eMTGgZ1pLHkI8d0cMu5Z7Vb7h9xS8Jj5qZ5mE8vQxKQ3y5C0K\n"), 0o600))
	if status, short := ask(func(o *acl.Options) { o.Auth.Htpasswd, o.Auth.Required = users, true }); status != "HTTP/1.1 407" || short {
		t.Error("without a user:", status, short)
	}
	if status, short := ask(func(*acl.Options) {}); status != "HTTP/1.1 200" || !short {
		t.Error("with the first rules again:", status, short)
	}
}

// huge makes a page that no socket buffers hold.
func (d *road) huge(path string) (length int) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	d.page(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=100")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	})
	return len(body)
}

// A client that leaves in the middle is logged as gone, and seen until then.
func TestShortLaneClientLeaves(t *testing.T) {
	for name, opts := range map[string][]rigOption{
		"memory": {func(c *rigConfig) { c.memory = 1 << 30 }}, "disk": {onDisk},
	} {
		t.Run(name, func(t *testing.T) {
			d := newRoad(t, true, opts...)
			length := d.huge("/p")
			for range 2 { // once to store it, once to check it
				d.dial().ask(plainGet)
				d.stored()
			}
			logged, long := d.logged(), d.long.Load()
			c, err := net.Dial("tcp", d.addr)
			d.must(err)
			_, err = io.WriteString(c, strings.ReplaceAll(plainGet, "@", d.origin.URL))
			d.must(err)
			_, err = io.ReadFull(c, make([]byte, 100_000))
			d.must(err)
			list := d.proxy.ActiveRequests()
			if len(list) != 1 || list[0].URL != d.origin.URL+"/p" || list[0].Method != "GET" || list[0].Client.String() != c.LocalAddr().String() {
				t.Errorf("%+v is being answered", list)
			}
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
			e := d.entries(logged + 1)[logged]
			if !e.Result.Aborted || e.Status != 200 || e.BytesOut < 100_000 || e.BytesOut >= int64(length) {
				t.Errorf("%+v", e)
			}
			if d.long.Load() != long {
				t.Error("it went the long way")
			}
			if d.logged(); len(d.proxy.ActiveRequests()) != 0 {
				t.Error("it is still there")
			}
		})
	}
}

// segments are the files of bodies.
func (d *road) segments() []string {
	d.t.Helper()
	var paths []string
	for _, pattern := range []string{"*.seg", "*.obj"} {
		more, err := filepath.Glob(filepath.Join(d.dir, "segments", pattern))
		d.must(err)
		paths = append(paths, more...)
	}
	if len(paths) == 0 {
		d.t.Fatal("no segments")
	}
	return paths
}

// damage changes one byte in the middle of each body of a repeated pattern.
func (d *road) damage() {
	d.t.Helper()
	for _, path := range d.segments() {
		b, err := os.ReadFile(path)
		d.must(err)
		i := bytes.Index(b, []byte("0123456789abcdef0123456789abcdef"))
		if i < 0 {
			d.t.Fatalf("no body in %s", path)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		d.must(err)
		_, err = f.WriteAt([]byte("X"), int64(i)+5000)
		d.must(err)
		d.must(f.Close())
		later := time.Now().Add(time.Hour) // the clock of the file system is coarse
		d.must(os.Chtimes(path, later, later))
	}
}

// A body that was damaged on disk is fetched anew, and logged as that, whichever
// way the request goes.
func TestShortLaneDamage(t *testing.T) {
	for _, length := range []int{16_000, 800_000} {
		for _, open := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d %v", length, open), func(t *testing.T) {
				d := newRoad(t, open, onDisk)
				body := strings.Repeat("0123456789abcdef", length/16)
				d.page("/p", fields(200, body, "Cache-Control: max-age=100", fmt.Sprint("Content-Length: ", length)))
				for range 3 {
					d.dial().ask(plainGet)
					d.stored()
				}
				d.damage()
				logged := d.logged()
				text := d.dial().ask(plainGet)
				if !strings.HasSuffix(text, "\r\n\r\n"+body) || !strings.Contains(text, "n1; fwd=uri-miss") || !strings.Contains(text, "detail=damaged") {
					t.Errorf("%q", clip(text, 400))
				}
				if e := d.entries(logged + 1)[logged]; e.Result.Tag != accesslog.TagSwapFailMiss {
					t.Errorf("%+v", e.Result)
				}
				if n := d.proxy.damaged.n.Load(); n != 0 {
					t.Errorf("%d keys are still noted as damaged", n)
				}
			})
		}
	}
}

// A file that ends too early breaks the response off.
func TestShortLaneTruncatedFile(t *testing.T) {
	d := newRoad(t, true, onDisk)
	length := d.huge("/p")
	for range 2 {
		d.dial().ask(plainGet)
		d.stored()
	}
	logged, long := d.logged(), d.long.Load()
	c, err := net.Dial("tcp", d.addr)
	d.must(err)
	defer c.Close()
	d.must(c.SetDeadline(time.Now().Add(60 * time.Second)))
	_, err = io.WriteString(c, strings.ReplaceAll(plainGet, "@", d.origin.URL))
	d.must(err)
	_, err = io.ReadFull(c, make([]byte, 1000)) // it has begun
	d.must(err)
	for _, path := range d.segments() {
		d.must(os.Truncate(path, int64(length)*3/4))
	}
	n, _ := io.Copy(io.Discard, c)
	if n += 1000; n >= int64(length) {
		t.Errorf("%d bytes came", n)
	}
	if e := d.entries(logged + 1)[logged]; !e.Result.Aborted || d.long.Load() != long {
		t.Errorf("%+v, long way: %v", e, d.long.Load() != long)
	}
}

// What was allowed on a connection before does not decide about anything else.
func TestShortLanePermits(t *testing.T) {
	d := newRoad(t, true)
	for _, path := range []string{"/p", "/secret"} {
		d.page(path, laneText)
		d.dial().ask(strings.ReplaceAll(plainGet, "/p", path))
	}
	rules := d.setRules
	w := d.dial()
	ask := func(request, want string, short bool) {
		t.Helper()
		long := d.long.Load()
		if got := w.ask(request)[:len("HTTP/1.1 200")]; got != want || (d.long.Load() == long) != short {
			t.Errorf("%q: %s, %d on the long way", request, got, d.long.Load()-long)
		}
	}
	head := "HEAD @/p HTTP/1.1\r\nHost: h\r\n\r\n"
	secret := strings.ReplaceAll(plainGet, "/p", "/secret")
	for range 2 { // the second time it is known
		ask(plainGet, "HTTP/1.1 200", true)
		ask(secret, "HTTP/1.1 200", true)
	}
	rules(func(o *acl.Options) { o.Rules = []acl.Rule{{Action: "deny", Methods: []string{"HEAD"}}} })
	for range 2 {
		ask(plainGet, "HTTP/1.1 200", true)
		ask(head, "HTTP/1.1 403", false)
	}
	rules(func(o *acl.Options) { o.Rules = []acl.Rule{{Action: "deny", URLRegexp: "/secret$"}} })
	for range 2 {
		ask(plainGet, "HTTP/1.1 200", true)
		ask(secret, "HTTP/1.1 403", false)
	}
	rules(func(o *acl.Options) { o.AllowTo = nil })
	ask(plainGet, "HTTP/1.1 403", false)
	rules(func(*acl.Options) {})
	ask(plainGet, "HTTP/1.1 200", true)
	other := strings.ReplaceAll(plainGet, "@", strings.ReplaceAll(d.origin.URL, "127.0.0.1", "localhost"))
	w.ask(other)
	ask(plainGet, "HTTP/1.1 200", true)
	ask(other, "HTTP/1.1 200", true)
	rules(func(o *acl.Options) { o.Rules = []acl.Rule{{Action: "deny", Domains: []string{"localhost"}}} })
	for range 2 {
		ask(plainGet, "HTTP/1.1 200", true)
		ask(other, "HTTP/1.1 403", false)
	}
}

// setRules has the rules that change makes of those of these tests decide from here on.
func (d *road) setRules(change func(*acl.Options)) {
	d.t.Helper()
	o := acl.DefaultOptions()
	o.AllowTo = []string{"127.0.0.0/8"}
	change(&o)
	l, err := acl.New(o)
	d.must(err)
	d.proxy.SetAccess(l)
}
