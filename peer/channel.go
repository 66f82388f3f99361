package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	callHead = 32 << 10
	callIdle = 30 * time.Second
	// fromField says which member calls. All members are trusted alike: it is
	// for names in answers and logs.
	fromField = "Cachenode-Member"
)

// serveCalls answers the calls of members until ctx ends.
func (c *Cluster) serveCalls(ctx context.Context) error {
	srv := &http.Server{
		Handler:           http.MaxBytesHandler(c.mux, MaxAnswer),
		ReadHeaderTimeout: handshakeTime,
		IdleTimeout:       2 * callIdle,
		MaxHeaderBytes:    callHead,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1) // one value is sent
	go func() { done <- srv.Serve(c.wire.calls) }()
	<-ctx.Done()
	err := srv.Close()
	if served := <-done; !errors.Is(served, http.ErrServerClosed) && !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, fmt.Errorf("answer members: %w", served))
	}
	c.client.CloseIdleConnections()
	return ignoreClosed(err)
}

// Handle implements Channel.
func (c *Cluster) Handle(path string, h http.Handler) { c.mux.Handle(path, h) }

// Caller is the ID of the member that makes a call.
func Caller(r *http.Request) string { return printable([]byte(r.Header.Get(fromField))) }

// newClient makes the client of calls; its streams are those of the wire.
func (c *Cluster) newClient() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(addr)
			if err != nil {
				return nil, err
			}
			return c.wire.dial(ctx, to, c.wire.ring.Load(), protoCall)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     callIdle,
	}
}

// Call implements Channel.
func (c *Cluster) Call(ctx context.Context, m *Member, path string, body []byte) ([]byte, error) {
	return c.post(ctx, c.client, m.Gossip, path, body)
}

func (c *Cluster) post(ctx context.Context, via http.RoundTripper, to netip.AddrPort, path string, body []byte) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, CallTime)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+to.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(fromField, c.id)
	req.Header.Set("User-Agent", "cachenode")
	req.Header["Idempotency-Key"] = nil // not sent; a kept connection that has died is replaced
	res, err := via.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	err = errors.Join(err, res.Body.Close())
	switch {
	case err != nil:
		return nil, err
	case res.StatusCode/100 != 2:
		return nil, &CallError{Status: res.StatusCode, Message: strings.TrimSpace(string(answer[:min(len(answer), 1000)]))}
	case len(answer) > MaxAnswer:
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes", to, MaxAnswer)
	}
	return answer, nil
}

// CallJSON is Call with values that are JSON on the wire.
func CallJSON[A, Q any](ctx context.Context, ch Channel, m *Member, path string, question Q) (answer A, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return answer, err
	}
	b, err := ch.Call(ctx, m, path, body)
	if err == nil {
		err = json.Unmarshal(b, &answer)
	}
	return answer, err
}

// HandleJSON answers calls of CallJSON. Fields that a later version sends are
// ignored. An error that is a *CallError sets the status, which is 500 else.
func HandleJSON[Q, A any](answer func(ctx context.Context, from string, q Q) (A, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, "the question is not JSON as expected: "+err.Error(), http.StatusBadRequest)
			return
		}
		a, err := answer(r.Context(), Caller(r), q)
		if err != nil {
			status := http.StatusInternalServerError
			if e, ok := errors.AsType[*CallError](err); ok {
				status = e.Status
			}
			http.Error(w, err.Error(), status)
			return
		}
		b, err := json.Marshal(a)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b) // the caller has gone: nobody to tell
	})
}
