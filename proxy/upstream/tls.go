package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// tlsVersions are the values of tls.min_version.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// config reads the files that o names. Only HTTP/1.1 is offered, because this
// package speaks nothing else.
func (o TLSOptions) config() (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion:         tlsVersions[o.MinVersion],
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(1024),
	}
	if o.CAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("proxy.upstream.tls.ca_file: %w", err)
	}
	if cfg.RootCAs, err = x509.SystemCertPool(); err != nil {
		cfg.RootCAs = x509.NewCertPool() // a machine without any; the file's are enough
	}
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("proxy.upstream.tls.ca_file: %s holds no certificate", o.CAFile)
	}
	return cfg, nil
}

// handshake makes nc a verified TLS connection to host. It closes nc when it
// fails.
func handshake(ctx context.Context, nc net.Conn, cfg *tls.Config, host string, timeout time.Duration) (net.Conn, error) {
	cfg = cfg.Clone()
	cfg.ServerName = strings.TrimSuffix(host, ".")
	tc := tls.Client(nc, cfg)
	hctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := tc.HandshakeContext(hctx); err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, tlsError{err}
	}
	return tc, nil
}
