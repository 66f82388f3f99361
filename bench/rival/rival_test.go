package rival

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/internal/procstat"
	"github.com/cachenode/cachenode/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// binary builds cachenode once for all that want it.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cachenode")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/cachenode").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// fetch asks through a proxy, on a connection of its own.
func fetch(t *testing.T, proxy, target string) string {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: proxy}), DisableKeepAlives: true}}
	resp, err := c.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", resp.Status, err, b)
	}
	return string(b)
}

// Every proxy that is installed starts, keeps a page, is seen to use memory, and
// leaves nothing behind.
func TestProxies(t *testing.T) {
	for _, tt := range []struct {
		name         string
		memory, disk units.Size
	}{
		{Cachenode, 64 * units.MiB, 256 * units.MiB}, {Squid, 64 * units.MiB, 0}, {Squid, 0, 256 * units.MiB},
		{Nginx, 64 * units.MiB, 0}, {TrafficServer, 64 * units.MiB, 256 * units.MiB},
	} {
		t.Run(fmt.Sprintf("%s memory %v disk %v", tt.name, tt.memory, tt.disk), func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", "max-age=600")
				fmt.Fprintf(w, "answer %d", asked.Add(1))
			}))
			defer origin.Close()
			o := Options{Name: tt.name, Dir: t.TempDir(), Origin: origin.Listener.Addr().String(), Memory: tt.memory, Disk: tt.disk, CPU: -1}
			reachable(t, o.Dir)
			p := begin(t, o)
			if got := fetch(t, p.Addr, origin.URL+"/a") + fetch(t, p.Addr, origin.URL+"/a"); got != "answer 1answer 1" {
				t.Errorf("the second answer is no hit: %s", got)
			}
			if p.Version == "" || p.Usage().RSS == 0 || !p.Alive() {
				t.Errorf("version %q, usage %+v", p.Version, p.Usage())
			}
			leavesNothing(t, p, o.Dir)
		})
	}
}

// reachable lets the accounts of proxies reach a directory of the test.
func reachable(t *testing.T, dir string) {
	t.Helper()
	for d := dir; d != os.TempDir() && len(d) > 1; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Skipf("%v", err)
		}
	}
}

func begin(t *testing.T, o Options) *Proxy {
	t.Helper()
	if o.Name == Cachenode {
		o.Binary = binary(t)
	}
	p, err := Start(t.Context(), o)
	if m, ok := errors.AsType[*MissingError](err); ok {
		t.Skip(m.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func leavesNothing(t *testing.T, p *Proxy, dir string) {
	t.Helper()
	tree := procstat.Tree(p.PID())
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(30 * time.Second); living(tree) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("of %v some still live", tree)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v is left", err, left)
	}
}

func living(pids []int) (n int) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(b), ") Z ") {
			n++
		}
	}
	return n
}

func TestHAProxyPassesThrough(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "behind") }))
	defer s.Close()
	dir := t.TempDir()
	p := begin(t, Options{Name: HAProxy, Dir: dir, Backend: s.Listener.Addr().String(), CPU: -1})
	if got := fetch(t, p.Addr, "http://192.0.2.1/"); got != "behind" {
		t.Error(got)
	}
	leavesNothing(t, p, dir)
}

// A proxy that does not start says why and leaves nothing.
func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "broken")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no such luck\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Name: Cachenode, Dir: dir, Binary: script, CPU: -1})
	if err == nil || !strings.Contains(err.Error(), "start cachenode: it ended at once, saying no such luck") {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "cachenode-bench-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if _, err := Start(t.Context(), Options{Name: "varnish"}); err == nil || !strings.Contains(err.Error(), "want one of cachenode, squid") {
		t.Error(err)
	}
}

// A process that ignores SIGTERM, and its children, end all the same.
func TestStopTheStubborn(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "stubborn")
	text := "#!/bin/sh\ntrap '' TERM\n(trap '' TERM; sleep 1000) &\nwhile :; do sleep 1000; done\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p := &Proxy{Name: "stubborn", dir: filepath.Join(dir, "d"), grace: 100 * time.Millisecond, ended: make(chan struct{})}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.launch(Options{Binary: script, CPU: -1}, nil, nil); err != nil {
		t.Fatal(err)
	}
	p.Addr = "127.0.0.1:1"
	if err := p.listening(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	tree := procstat.Tree(p.PID())
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(30 * time.Second); living(tree) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("of %v some still live", tree)
		}
	}
}

func TestPin(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux")
	}
	c := exec.Command("sleep", "1000")
	if err := startOn(0, c); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil || !strings.Contains(string(status), "Cpus_allowed_list:\t0\n") {
		t.Errorf("%v\n%s", err, status)
	}
	_ = c.Process.Signal(syscall.SIGKILL)
	_ = c.Wait()
}

func TestReadVersion(t *testing.T) {
	for said, want := range map[string]string{
		"Squid Cache: Version 5.7\nService Name: squid": "5.7", "nginx version: nginx/1.22.1\n": "1.22.1",
		"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/": "2.6.12-1+deb12u4",
		"cachenode devel (go1.26.8, linux/amd64)":                            "devel", "cachenode v0.3.1-5-gabc (go1.26.8)": "v0.3.1-5-gabc",
		"Apache Traffic Server - traffic_server - 9.2.5 - (build # 0 on x)": "9.2.5", "": "",
	} {
		if got := readVersion(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
