package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// network is a machine's worth of listeners in memory, so that a run with its
// proxy and origin fits into a bubble of testing/synctest.
type network struct {
	mu        sync.Mutex // guards listeners
	listeners map[string]*memListener
}

type memListener struct {
	net    *network
	addr   memAddr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

type memAddr string

func (memAddr) Network() string  { return "tcp" }
func (a memAddr) String() string { return string(a) }

func (n *network) listen(_, addr string) (net.Listener, error) {
	if addr == "127.0.0.1:0" {
		addr = "127.0.0.1:8080"
	}
	l := &memListener{net: n, addr: memAddr(addr), conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = map[string]*memListener{}
	}
	n.listeners[addr] = l
	return l, nil
}

func (n *network) dial(ctx context.Context, _, to string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[to]
	n.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memListener) Addr() net.Addr { return l.addr }

const proxyAddr = "proxy.test:3128"

// answer is what the scripted proxy is about to send.
type answer struct {
	n      int // the number of the request, from 1
	req    *http.Request
	hit    bool
	status int
	header http.Header
	body   []byte
	length int           // announced; -1 chunked, -2 until close
	cut    int           // bytes of the body after which the connection ends; -1 none
	wait   time.Duration // before the head
	stall  time.Duration // in the middle of the body
	raw    string        // sent in the answer's place
	behind string        // sent behind it
	twice  bool
}

// badProxy is an honest cache, except for what its script changes.
type badProxy struct {
	net    *network
	ln     net.Listener
	script func(p *badProxy, a *answer)
	keep   bool // what it has stored, for ever
	tunnel func(n int) string

	tasks sync.WaitGroup

	mu    sync.Mutex // guards n, store, conns
	n     int
	store map[string]*stored
	conns map[net.Conn]bool
}

type stored struct {
	status int
	header http.Header
	body   []byte
	at     time.Time
	length int64 // as announced
}

func startBadProxy(n *network, script func(*badProxy, *answer)) *badProxy {
	ln, _ := n.listen("tcp", proxyAddr) // it cannot fail
	p := &badProxy{net: n, ln: ln, script: script, store: map[string]*stored{}, conns: map[net.Conn]bool{}}
	p.tasks.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[c] = true
			p.mu.Unlock()
			p.tasks.Go(func() {
				defer c.Close()
				p.serve(c)
			})
		}
	})
	return p
}

func (p *badProxy) close() {
	p.ln.Close()
	p.mu.Lock()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.tasks.Wait()
}

func (p *badProxy) serve(c net.Conn) {
	br := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.n++
		n := p.n
		p.mu.Unlock()
		if req.Method == http.MethodConnect {
			p.connect(c, br, n, req)
			return
		}
		a := p.lookup(n, req)
		if p.script != nil {
			p.script(p, a)
		}
		if err := a.send(c); err != nil || a.cut >= 0 || a.length == -2 {
			return
		}
	}
}

// lookup answers as a good cache would: from the store, or from the origin.
func (p *badProxy) lookup(n int, req *http.Request) *answer {
	key := req.URL.String() + "|" + req.Header.Get("Accept-Language") + "|" + req.Header.Get("Range") + "|" + req.Header.Get("If-None-Match") + req.Method
	p.mu.Lock()
	s := p.store[key]
	p.mu.Unlock()
	hit := s != nil && req.Method != http.MethodPost && (p.keep || time.Since(s.at) < 60*time.Second)
	if !hit {
		s = p.fetch(req)
		if !strings.Contains(s.header.Get("Cache-Control"), "no-store") || p.keep {
			p.mu.Lock()
			p.store[key] = s
			p.mu.Unlock()
		}
	}
	a := &answer{n: n, req: req, hit: hit, status: s.status, header: s.header.Clone(), body: bytes.Clone(s.body), length: len(s.body), cut: -1}
	if req.Method == http.MethodHead {
		a.length = int(s.length)
	}
	if hit {
		a.header.Set("Age", strconv.Itoa(int(time.Since(s.at).Seconds())))
	}
	a.claim(hit)
	return a
}

func (a *answer) claim(hit bool) {
	what := "bad; fwd=uri-miss; stored"
	if hit {
		what = "bad; hit"
	}
	a.header.Set("Cache-Status", what)
}

func (p *badProxy) fetch(req *http.Request) *stored {
	t := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return p.net.dial(ctx, "", addr) },
	}
	out := req.Clone(context.Background())
	out.RequestURI = ""
	res, err := t.RoundTrip(out)
	if err != nil {
		return &stored{status: 502, header: http.Header{"Proxy-Status": {"bad; error=connection_refused"}}}
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	h := res.Header
	h.Del("Content-Length")
	h.Del("Connection")
	return &stored{status: res.StatusCode, header: h, body: body, at: time.Now(), length: res.ContentLength}
}

func (p *badProxy) connect(c net.Conn, br *bufio.Reader, n int, req *http.Request) {
	if p.tunnel != nil {
		if refusal := p.tunnel(n); refusal != "" {
			io.WriteString(c, refusal)
			return
		}
	}
	up, err := p.net.dial(context.Background(), "", req.Host)
	if err != nil {
		io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	p.tasks.Go(func() {
		io.Copy(up, br)
		up.Close()
	})
	io.Copy(c, up)
}

func (a *answer) send(c net.Conn) error {
	time.Sleep(a.wait)
	if a.raw != "" {
		_, err := io.WriteString(c, a.raw)
		return errors.Join(err, io.EOF)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d X\r\n", a.status)
	switch {
	case a.status == 304:
	case a.length >= 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", a.length)
	case a.length == -1:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	case a.length == -2:
		b.WriteString("Connection: close\r\n")
	}
	a.header.Write(&b)
	b.WriteString("\r\n")
	if a.req.Method != http.MethodHead && a.status != 304 {
		a.appendBody(&b)
	}
	b.WriteString(a.behind)
	if a.twice {
		b.Write(b.Bytes())
	}
	all := b.Bytes()
	if a.stall > 0 {
		if _, err := c.Write(all[:len(all)-10]); err != nil {
			return err
		}
		time.Sleep(a.stall)
		all = all[len(all)-10:]
	}
	_, err := c.Write(all)
	return err
}

func (a *answer) appendBody(b *bytes.Buffer) {
	body := a.body
	if a.cut >= 0 {
		body = body[:min(a.cut, len(body))]
	}
	if a.length != -1 {
		b.Write(body)
		return
	}
	for len(body) > 0 {
		n := min(700, len(body))
		fmt.Fprintf(b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	if a.cut < 0 {
		b.WriteString("0\r\n\r\n")
	}
}
