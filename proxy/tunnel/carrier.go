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
	p.OnRequest().HandleConnect(goproxy.FuncHttpsHandler(connectAction))
	return p
}

var errNoWayOut = errors.New("goproxy must not connect by itself")

// connectAction hands the connection to the session that it was taken over for.
func connectAction(host string, _ *goproxy.ProxyCtx) (*goproxy.ConnectAction, string) {
	return &goproxy.ConnectAction{
		Action: goproxy.ConnectHijack,
		Hijack: func(_ *http.Request, client net.Conn, _ *goproxy.ProxyCtx) {
			if t, ok := client.(*taken); ok {
				t.handover(t.Conn)
				return
			}
			closeQuietly(client)
		},
	}, host
}

// handover takes the client's connection.
type handover func(client net.Conn)

// taken is a client's connection on its way through goproxy.
type taken struct {
	net.Conn
	handover handover
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

// hijackWriter makes sure that bytes which the server has read behind the
// request's head are not lost: goproxy looks at the connection only.
type hijackWriter struct {
	http.ResponseWriter
	handover handover
	err      error
}

// Hijack implements http.Hijacker.
func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		w.err = err
		return nil, nil, err
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered()) // cannot fail: it is there
	return &taken{upstream.WithEarly(conn, early), w.handover}, rw, nil
}

// printfLogger is goproxy's log: what it warns of has an effect that we see
// ourselves.
type printfLogger struct{ log *slog.Logger }

func (l printfLogger) Printf(format string, v ...any) {
	l.log.Debug("goproxy", "message", fmt.Sprintf(format, v...))
}
