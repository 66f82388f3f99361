package hook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachenode/cachenode/election"
	"github.com/cachenode/cachenode/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var change = Change{
	Time: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Event: "acquired", Node: "n2", VIP: "10.0.0.100", Term: 7, Reason: "highest priority",
}

// told runs hooks for one change, and gives what they logged.
func told(t *testing.T, hooks ...election.Hook) string {
	t.Helper()
	var out bytes.Buffer
	r := New(hooks, slog.New(slog.NewTextHandler(&out, nil)))
	r.Tell(change)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = r.Run(ctx) // calls what is queued
	return out.String()
}

func TestExec(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	script := `echo "$1 $CACHENODE_EVENT $CACHENODE_NODE $CACHENODE_VIP $CACHENODE_TERM $CACHENODE_REASON" > ` + file
	if log := told(t, election.Hook{Exec: []string{"/bin/sh", "-c", script, "sh", "arg"}}); log != "" {
		t.Error(log)
	}
	b, err := os.ReadFile(file)
	if want := "arg acquired n2 10.0.0.100 7 highest priority\n"; err != nil || string(b) != want {
		t.Errorf("%q, %v", b, err)
	}
}

func TestHooksThatFailAreLoggedAndLimited(t *testing.T) {
	log := told(t,
		election.Hook{Exec: []string{"/bin/sh", "-c", "echo what is wrong; exit 3"}},
		election.Hook{Exec: []string{"/does/not/exist"}},
		election.Hook{Exec: []string{"/bin/sleep", "600"}, Timeout: units.Duration(50 * time.Millisecond)},
		election.Hook{Syslog: "/does/not/exist"},
		election.Hook{Mail: election.Mail{Server: "127.0.0.1:1", From: "a@x", To: []string{"b@x"}}},
	)
	for _, want := range []string{"what is wrong", "/does/not/exist", "killed", "127.0.0.1:1"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
}

func TestWebhook(t *testing.T) {
	var got Change
	status := http.StatusNoContent
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&got) != nil {
			t.Error("no POST of JSON")
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if log := told(t, election.Hook{Webhook: srv.URL}); log != "" || got != change {
		t.Errorf("got %+v, log %q", got, log)
	}
	status = http.StatusTeapot
	if log := told(t, election.Hook{Webhook: srv.URL}); !strings.Contains(log, "418") {
		t.Errorf("log %q", log)
	}
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	local, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	remote, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	if log := told(t, election.Hook{Syslog: path}, election.Hook{Syslog: remote.LocalAddr().String()}); log != "" {
		t.Error(log)
	}
	for conn, want := range map[net.PacketConn]string{local: "<29>Nov 20 12:00:00 cachenode[", remote: "<29>1 2026-11-20T12:00:00Z n2 cachenode "} {
		buf := make([]byte, 1024)
		n, _, err := conn.ReadFrom(buf)
		if line := string(buf[:n]); err != nil || !strings.HasPrefix(line, want) || !strings.HasSuffix(line, "virtual IP 10.0.0.100 acquired by n2, term 7: highest priority") {
			t.Errorf("%q, %v", line, err)
		}
	}
}

// mailServer takes one message, without TLS.
func mailServer(t *testing.T) (addr string, message func() string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	var done sync.WaitGroup
	done.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		answer := "220 test\r\n"
		for data := false; ; {
			_, _ = io.WriteString(conn, answer)
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			all.WriteString(line)
			answer = "250 ok\r\n"
			switch {
			case data && line == ".\r\n":
				data = false
			case data:
				answer = ""
			case line == "DATA\r\n":
				data, answer = true, "354 go\r\n"
			case line == "QUIT\r\n":
				_, _ = io.WriteString(conn, "221 bye\r\n")
				return
			}
		}
	})
	return ln.Addr().String(), func() string {
		ln.Close()
		done.Wait()
		return all.String()
	}
}

func TestMail(t *testing.T) {
	addr, message := mailServer(t)
	log := told(t, election.Hook{Mail: election.Mail{Server: addr, From: "cachenode@example.com", To: []string{"a@example.com", "b@example.com"}}})
	got := message()
	if log != "" {
		t.Error(log)
	}
	for _, want := range []string{
		"MAIL FROM:<cachenode@example.com>", "RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>",
		"Subject: [cachenode] n2: virtual IP 10.0.0.100 acquired\r\n", "\r\n\r\nvirtual IP 10.0.0.100 acquired by n2",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

// A queue that is full drops what comes, and does not block.
func TestQueueIsBounded(t *testing.T) {
	var out bytes.Buffer
	r := New([]election.Hook{{Exec: []string{"/bin/true"}}}, slog.New(slog.NewTextHandler(&out, nil)))
	for range queued + 1 {
		r.Tell(change)
	}
	if !strings.Contains(out.String(), "too slow") {
		t.Errorf("log %q", out.String())
	}
}
