package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// The two things that streams between members are for, as negotiated in TLS.
const (
	protoGossip = "cachenode-gossip/1"
	protoCall   = "cachenode-call/1"
)

// security proves both ends of a stream and keeps others from reading it.
type security interface {
	client(ctx context.Context, conn net.Conn, r *ring, proto string) (net.Conn, error)
	server(ctx context.Context, conn net.Conn, r *ring) (secured net.Conn, proto string, err error)
}

// mutualTLS is TLS 1.3 in which both ends show a certificate made of the
// cluster's key. It trusts nothing else: no names, no dates, no authorities.
// Each stream has keys of its own, so that nothing recorded can be replayed, or
// read when the cluster's key becomes known later.
type mutualTLS struct{}

var errNoCertificate = errors.New("it showed no certificate")

func (mutualTLS) client(ctx context.Context, conn net.Conn, r *ring, proto string) (net.Conn, error) {
	c := tls.Client(conn, &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ServerName:             r.keys[0].print,
		Certificates:           []tls.Certificate{r.keys[0].cert},
		NextProtos:             []string{proto},
		InsecureSkipVerify:     true, // VerifyConnection is stricter
		VerifyConnection:       r.verify,
		SessionTicketsDisabled: true,
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return opaque{c}, nil
}

// opaque keeps net/http from seeing that a stream is TLS: it would take the
// protocol for its own business.
type opaque struct{ net.Conn }

func (mutualTLS) server(ctx context.Context, conn net.Conn, r *ring) (net.Conn, string, error) {
	c := tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &r.byName(h.ServerName).cert, nil
		},
		NextProtos:             []string{protoGossip, protoCall},
		ClientAuth:             tls.RequestClientCert, // verify requires it, in its own words
		VerifyConnection:       r.verify,
		SessionTicketsDisabled: true,
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, "", errors.Join(err, conn.Close())
	}
	return opaque{c}, c.ConnectionState().NegotiatedProtocol, nil
}

// verify accepts the certificates made of our keys.
func (r *ring) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errNoCertificate
	}
	if cert := s.PeerCertificates[0]; !r.has(cert) {
		return stranger(cert, r.id)
	}
	return nil
}
