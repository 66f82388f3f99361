package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/elazarl/goproxy"

	"github.com/cachenode/cachenode/proxy/upstream"
)

// newCarrier returns the goproxy server that takes client connections over. It
// has no way out of its own: what it connects was dialled, checked and handed
// in by us, its transport and its dialler refuse, and the certificate
// authority that it brings along is never asked for anything.
func newCarrier(log *slog.Logger) *goproxy.ProxyHttpServer {
	p := goproxy.NewProxyHttpServer()
	refuse := func() (net.Conn, error) { return nil, errNoWayOut }
	p.Tr = &http.Transport{
		Proxy:              nil, // never HTTP_PROXY
		DisableCompression: true,
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return refuse() },
	}
	p.ConnectDial = func(string, string) (net.Conn, error) { return refuse() }
	p.ConnectDialWithReq = func(*http.Request, string, string) (net.Conn, error) { return refuse() }
	p.KeepAcceptEncoding = true
	p.Logger = printfLogger{log}
	action := &goproxy.ConnectAction{Action: goproxy.ConnectHijack, Hijack: handOver}
	p.OnRequest().HandleConnect(goproxy.FuncHttpsHandler(func(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
		return action, host
	}))
	return p
}

var errNoWayOut = errors.New("goproxy must not connect by itself")

// handOver gives the connection to the session that it was taken over for.
func handOver(_ *http.Request, client net.Conn, _ *goproxy.ProxyCtx) {
	if t, ok := client.(*taken); ok {
		t.by.run(t.Conn)
		return
	}
	closeQuietly(client)
}

// taken is a client's connection on its way through goproxy.
type taken struct {
	net.Conn
	by *session
}

// connectShaped returns r as a CONNECT, which goproxy hands over; an upgrade
// differs from one only until its answer.
func connectShaped(r *http.Request) *http.Request {
	if r.Method == http.MethodConnect {
		return r
	}
	c := r.WithContext(r.Context())
	c.Method = http.MethodConnect
	return c
}

// giver is the writer that goproxy takes the client's connection from. It makes
// sure that bytes which the server has read behind the request's head are not
// lost: goproxy looks at the connection only.
type giver struct {
	http.ResponseWriter
	given taken
	err   error
}

// Hijack implements http.Hijacker, without the buffers.
func (g *giver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, early, err := takeOver(g.ResponseWriter)
	if err != nil {
		g.err = err
		return nil, nil, err
	}
	g.given.Conn = upstream.WithEarly(conn, early)
	return &g.given, nil, nil
}

// takeOver takes the connection of a request over, and what has arrived behind
// that. A writer of package http1 spares the buffers.
func takeOver(w http.ResponseWriter) (net.Conn, []byte, error) {
	if own, ok := w.(interface {
		TakeOver() (net.Conn, []byte, error)
	}); ok {
		return own.TakeOver()
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered()) // cannot fail: it is there
	return conn, early, nil
}

// printfLogger is goproxy's log: what it warns of has an effect that we see
// ourselves.
type printfLogger struct{ log *slog.Logger }

func (l printfLogger) Printf(format string, v ...any) {
	l.log.Debug("goproxy", "message", fmt.Sprintf(format, v...))
}
