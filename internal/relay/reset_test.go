package relay

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// What TLS has sent before a reset is not all there is: its peer must not be told
// so.
func TestAResetBeneathTLS(t *testing.T) {
	defer goleak.VerifyNone(t)
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	trust := x509.NewCertPool()
	trust.AddCert(srv.Certificate())
	client, near := pair(t)
	end, dialled := pair(t)
	far := tls.Server(end, srv.TLS)
	r := &rig{
		client: client, ended: make(chan Verdict, 1),
		Relay: New(near, tls.Client(dialled, &tls.Config{RootCAs: trust, ServerName: "example.com"}), Options{IdleTimeout: patience, HalfCloseTimeout: patience}),
	}
	r.start(t)
	if _, err := client.Write([]byte("half of it")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := far.Read(b); string(b[:n]) != "half of it" {
		t.Fatalf("far side got %q, %v", b[:n], err)
	}
	_ = client.SetLinger(0)
	closeQuietly(client)
	if _, err := far.Read(b); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("far side sees %v, want a reset", err)
	}
	if v := r.wait(t); v != (Verdict{Aborted: true}) {
		t.Errorf("ended as %+v", v)
	}
}

// Who waits for an answer behind his own end does not take a limit for the end of
// the answer.
func TestAHalfCloseEndsInAReset(t *testing.T) {
	r := newRig(t, func(o *Options) { o.HalfCloseTimeout = 50 * time.Millisecond })
	r.start(t)
	if _, err := r.far.Write([]byte("a part")); err != nil {
		t.Fatal(err)
	}
	_ = r.client.CloseWrite()
	if got, err := io.ReadAll(r.client); string(got) != "a part" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %q, %v, want a part and a reset", got, err)
	}
	if v := r.wait(t); v != (Verdict{TimedOut: true}) {
		t.Errorf("ended as %+v", v)
	}
}

// A lifetime ends in the middle of what is moved, and nobody takes that for the
// end of it.
func TestALifetimeEndsInAReset(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxLifetime = 50 * time.Millisecond })
	r.start(t)
	if v := r.wait(t); v != (Verdict{TimedOut: true}) {
		t.Errorf("ended as %+v", v)
	}
	for name, c := range map[string]interface{ Read([]byte) (int, error) }{"client": r.client, "far side": r.far} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s sees %v, want a reset", name, err)
		}
	}
}
