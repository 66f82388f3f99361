package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What goes wrong before there is any load: the exit code, what is said, and
// what to do next.
func TestBenchMistakes(t *testing.T) {
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := unused.Addr().String()
	unused.Close()
	mute := answering(t, "")
	refusing := answering(t, "HTTP/1.1 403 Forbidden\r\nProxy-Status: n1; error=destination_ip_prohibited\r\nContent-Length: 0\r\n\r\n")
	asking := answering(t, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
	web := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{nobody, 1, "error: nothing listens on " + nobody + "\nhint: start a node with 'cachenode run --allow-to 127.0.0.0/8'\n"},
		{"--tunnel " + nobody, 1, "nothing listens on"},
		{mute, 1, "does not answer a first request: no answer: closed\nhint: try it by hand: curl -v -x http://" + mute},
		{refusing, 1, "error=destination_ip_prohibited\nhint: the proxy may not go to the bench's origin on loopback: start a node with 'cachenode run --allow-to 127.0.0.0/8'"},
		{"--tunnel " + refusing, 1, "CONNECT was refused: status 403 n1; error=destination_ip_prohibited\nhint: the proxy may not go"},
		{asking, 1, "hint: give a user and password: --proxy-auth"},
		{web, 1, "answers a first request wrongly (foreign)"},
		{"--origin " + nobody + " " + web, 1, "hint: start it there with 'cachenode bench origin --listen " + nobody + "'"},
		{"--origin-listen 192.0.2.1:0", 1, "error: listen for the origin: "},
		{"--replay /nowhere", 1, "error: --replay: open /nowhere: no such file"},
		{"--urls-from /dev/null", 1, "error: --urls-from: /dev/null: no URL in it"},
		{"nowhere", 2, `error: --proxy: invalid address "nowhere": want HOST:PORT`},
		{"--sizes big", 2, `error: --sizes: invalid size "big"`},
		{"--speed fast", 2, `--speed: invalid speed "fast"`},
		{"--urls pareto -c 0", 2, "--connections: want 1 to"},
		{"--ratte 5", 2, `did you mean "--rate"?`},
		{"a b", 2, "hint: see 'cachenode bench --help'"},
		{"origin --listen nowhere", 1, "error: listen for the origin: "},
	} {
		t.Run(tt.args, func(t *testing.T) {
			code, _, errOut := cli(append([]string{"bench", "--quiet"}, strings.Fields(tt.args)...)...)
			if strings.HasPrefix(tt.args, "origin") {
				code, _, errOut = cli(append([]string{"bench"}, strings.Fields(tt.args)...)...)
			}
			if code != tt.code || !strings.Contains(errOut, tt.want) {
				t.Errorf("exit %d, want %d; said\n%s\nwant\n%s", code, tt.code, errOut, tt.want)
			}
		})
	}
}

// answering is the address of a server that gives every connection the same
// answer, once.
func answering(t *testing.T, answer string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			_, _ = c.Read(b)
			_, _ = c.Write([]byte(answer))
			c.Close()
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	return ln.Addr().String()
}

// Every kind of load goes through a node without a failure.
func TestBenchKindsOfLoad(t *testing.T) {
	p := proxy(t)
	log := filepath.Join(t.TempDir(), "access.log")
	lines := strings.Repeat("1000.000 0 c TCP_MISS/200 1300 GET http://a.example/1 - HIER_DIRECT/1 -\n1000.001 0 c TCP_MISS/200 2300 GET http://a.example/2 - HIER_DIRECT/1 -\n", 50)
	if err := os.WriteFile(log, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{"-n 200 -c 4 --warm all --objects 20 --sizes 2KiB", "Hits         100.00 %"},
		{"-n 200 -c 4 --rate 2000 --hit-ratio 0.5 --objects 20 --sizes 2KiB", "Requests     200 in"},
		{"-n 100 -c 4 --tunnel --new-connections", "tunnel"},
		{"-n 200 -c 4 --ranges 0.2 --conditional 0.2 --head 0.2 --post 0.1 --reload 0.1 --objects 10", "Requests     200 in"},
		{"-n 50 -c 4 --client-ips 127.0.0.2-127.0.0.9", "Requests     50 in"},
		{"--replay " + log, "Requests     100 in"},
		{"--replay " + log + " --speed max", "Requests     100 in"},
	} {
		code, out, errOut := cli(append([]string{"bench", "--quiet", p.Addr, "--fail-under", "errors=0,lies=0"}, strings.Fields(tt.args)...)...)
		if code != exitDone || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit %d\n%s%s", tt.args, code, out, errOut)
		}
	}
}

// Ctrl-C ends a run and prints what there is.
func TestBenchInterrupted(t *testing.T) {
	cmd := exec.Command(os.Args[0], "bench", "direct", "-d", "1h", "-c", "2", "--rate", "100")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var out strings.Builder
	cmd.Stdout = &out
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := said.Read(make([]byte, 1)); err != nil { // the first line of progress
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "Requests     ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
