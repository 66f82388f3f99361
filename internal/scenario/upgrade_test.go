package scenario

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// frame is a masked text frame of WebSocket (RFC 6455 §5.2), shorter than 126.
func frame(text string) []byte {
	mask := []byte{1, 2, 3, 4}
	b := append([]byte{0x81, 0x80 | byte(len(text))}, mask...)
	for i := range len(text) {
		b = append(b, text[i]^mask[i%4])
	}
	return b
}

// webSocket is an origin that agrees to WebSocket, greets in the same packet as
// its answer, and then returns every byte.
func webSocket(t *testing.T) string {
	return server(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if r.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
			fmt.Fprint(c, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 4\r\n\r\nnone")
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n%s",
			"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "\x81\x05early")
		_, _ = io.Copy(c, br)
	})
}

const handshake = "GET http://%s/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// A WebSocket works through the proxy; frames that come right behind either
// side's head are not lost.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	n, origin := start(t), webSocket(t)
	c := n.dial()
	_, err := fmt.Fprintf(c, handshake+"%s", origin, frame("impatient"))
	must(t, err)
	br := bufio.NewReader(c)
	r, err := http.ReadResponse(br, nil)
	must(t, err)
	if r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
		!strings.EqualFold(r.Header.Get("Connection"), "upgrade") || r.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%s %v", r.Status, r.Header)
	}
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(br, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	expect("\x81\x05early")
	expect(string(frame("impatient")))
	for i := range 20 {
		f := frame(fmt.Sprintf("message %d", i))
		_, err := c.Write(f)
		must(t, err)
		expect(string(f))
	}
	if n.metrics("cachenode_tunnels") != 1 {
		t.Error("the tunnel is not counted")
	}
	c.Close()
	e := n.log(1)[0]
	if e.status != "101" || e.url != "http://"+origin+"/chat" || e.bytes < 100 {
		t.Errorf("log %+v", e)
	}
}

// An origin that does not want to switch is passed on as it answers, and the
// connection goes on.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	n, o := start(t), newOrigin(t)
	o.page("/chat", fields(403, "no chat here"))
	o.page("/a", fresh("page"))
	c := n.dial()
	br := bufio.NewReader(c)
	fmt.Fprintf(c, handshake, o.addr())
	r, err := http.ReadResponse(br, nil)
	must(t, err)
	body, err := io.ReadAll(r.Body)
	must(t, err)
	if r.StatusCode != http.StatusForbidden || string(body) != "no chat here" {
		t.Errorf("%s %q", r.Status, body)
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", o.url("/a"))
	r, err = http.ReadResponse(br, nil)
	must(t, err)
	if body, _ := io.ReadAll(r.Body); string(body) != "page" {
		t.Errorf("behind it: %s %q", r.Status, body)
	}
	if log := n.log(2); len(log) != 2 || log[0].status != "403" {
		t.Errorf("log %+v", log)
	}
}

// A tunnel passes the end of one direction on, and lets the other go on.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	body := pattern(3_000_000)
	answer := server(t, func(c net.Conn) {
		got, _ := io.ReadAll(c) // until the client's half is closed
		_, _ = io.WriteString(c, string(got)+body)
	})
	n := start(t)
	c, br := n.tunnel(answer)
	_, err := io.WriteString(c, "question ")
	must(t, err)
	must(t, c.(*net.TCPConn).CloseWrite())
	got, err := io.ReadAll(br)
	if string(got) != "question "+body || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if e := n.log(1)[0]; e.result != "TCP_TUNNEL" || e.bytes < int64(len(body)) {
		t.Errorf("log %+v", e)
	}
}

// A tunnel in which nothing moves, and one to nowhere, do not stay.
func TestTunnelLimits(t *testing.T) {
	t.Parallel()
	silent := server(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	n := start(t, "--config", config(t, "proxy: {tunnel: {idle_timeout: 1s, half_close_timeout: 1s, max_tunnels: 2}}\n"))
	c, br := n.tunnel(silent)
	n.tunnel(silent)
	wantIn(t, n.raw("CONNECT %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", silent), "HTTP/1.1 503 ", "connection_limit_reached")
	if b, err := io.ReadAll(br); len(b) > 0 || err != nil {
		t.Errorf("an idle tunnel ends with %q, %v", b, err)
	}
	c.Close()
	wantIn(t, n.raw("CONNECT %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", freePort(t)), "HTTP/1.1 502 ", "ERR_CONNECT_FAIL")
	wantIn(t, n.raw("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "HTTP/1.1 403 ", "ERR_ACCESS_DENIED")
}
