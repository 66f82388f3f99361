package tunnel

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/cachenode/cachenode/internal/relay"
	"github.com/cachenode/cachenode/proxy/upstream"
)

// ServeUpgrade carries r, which asks for another protocol: r.URL is absolute,
// r.Header is cleaned but for Upgrade. A 101 makes the connection a tunnel;
// any other answer is passed on as an ordinary response. With an error and
// Outcome.Status 0 nothing was sent, and the caller answers; a response that
// broke off later was cut on the client's side too.
func (t *Tunnels) ServeUpgrade(w http.ResponseWriter, r *http.Request) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	s, err := t.begin(ctx, cancel, r, r.URL.Scheme+"://"+r.URL.Host+r.URL.EscapedPath())
	if err != nil {
		cancel(nil)
		return Outcome{}, err
	}
	defer t.end(s)
	stop := context.AfterFunc(r.Context(), func() { s.cancel(context.Cause(r.Context())) })
	defer stop()
	resp, route, err := t.deps.RoundTrip(r.WithContext(s.ctx), func(code int, h http.Header) { passInterim(w, code, h) })
	s.out.Route = route
	if err != nil {
		return s.out, s.classify(err)
	}
	protocol := strings.Join(resp.Header["Upgrade"], ", ")
	head := endToEnd(resp.Header)
	far, switched := upstream.Switched(resp)
	if !switched {
		t.deps.Head(head)
		return t.passResponse(w, r, s, resp, head)
	}
	stop() // from here on the bytes tell when the client leaves
	head["Connection"] = []string{"Upgrade"}
	head["Upgrade"] = []string{protocol}
	t.deps.Head(head)
	s.far, s.status = far, resp.StatusCode
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := head.Write(&b); err != nil {
		closeQuietly(far)
		return s.out, upstream.Classify(err)
	}
	b.WriteString("\r\n")
	s.answer = b.Bytes()
	return t.carry(w, r, s)
}

// passInterim passes an informational response on.
func passInterim(w http.ResponseWriter, code int, h http.Header) {
	kept := w.Header().Clone()
	clear(w.Header())
	maps.Copy(w.Header(), endToEnd(h))
	w.WriteHeader(code)
	clear(w.Header())
	maps.Copy(w.Header(), kept)
}

// passResponse passes an origin's refusal to upgrade.
func (t *Tunnels) passResponse(w http.ResponseWriter, r *http.Request, s *session, resp *http.Response, head http.Header) (Outcome, error) {
	defer closeQuietly(resp.Body)
	h := w.Header()
	maps.Copy(h, head)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or net/http sniffs one
	}
	for name := range resp.Trailer {
		h["Trailer"] = append(h["Trailer"], name)
	}
	s.out.Status = resp.StatusCode
	w.WriteHeader(resp.StatusCode)
	if r.Method == http.MethodHead {
		return s.out, nil
	}
	n, err := io.Copy(w, resp.Body)
	s.out.BytesOut, s.out.Duration = n, time.Since(s.since)
	if err != nil {
		s.out.Aborted = true
		cut(w)
		return s.out, upstream.Classify(err)
	}
	for name, v := range resp.Trailer {
		if _, announced := h[name]; !announced {
			h[http.TrailerPrefix+name] = v
			continue
		}
		h[name] = v
	}
	return s.out, nil
}

// cut breaks the client's connection, so that it does not take a part of a
// response for the whole.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		relay.Reset(conn)
	}
}

// endToEnd returns a copy of h without the fields that concern one connection
// only (RFC 9110 §7.6.1).
func endToEnd(h http.Header) http.Header {
	out := h.Clone()
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			delete(out, textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)))
		}
	}
	for _, name := range []string{
		"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding",
		"Upgrade", "Proxy-Authenticate", "Proxy-Authentication-Info",
	} {
		delete(out, name)
	}
	return out
}
