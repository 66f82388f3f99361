package peer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// ring is an Identity made ready for use. It does not change.
type ring struct {
	id   Identity
	keys []ringKey // the first is used, all are accepted
}

// ringKey is what is derived from one key, each part for one purpose.
type ringKey struct {
	print string            // fingerprint, also the server name in TLS
	mac   []byte            // proves datagrams
	pub   ed25519.PublicKey // proves streams
	cert  tls.Certificate
}

// newRing derives what an identity is used for.
func newRing(id Identity) (*ring, error) {
	r := &ring{id: id}
	for _, k := range id.Keys {
		rk, err := newRingKey(id, k)
		if err != nil {
			return nil, fmt.Errorf("derive the cluster's certificate: %w", err)
		}
		r.keys = append(r.keys, rk)
	}
	return r, nil
}

// newRingKey makes, of a key, a certificate that only its owners can show. It
// names the cluster, so that a stranger can be told where it has come to; it is
// for ever, for the clocks of members need not agree.
func newRingKey(id Identity, k Key) (ringKey, error) {
	signer := ed25519.NewKeyFromSeed(k.derive("cachenode member certificate 1", ed25519.SeedSize))
	pub := signer.Public().(ed25519.PublicKey)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: id.Name, SerialNumber: id.ID},
		NotBefore:    time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}, &x509.Certificate{Subject: pkix.Name{CommonName: id.Name}}, pub, signer)
	return ringKey{
		print: k.Fingerprint(),
		mac:   k.derive("cachenode datagram 1", sha256.Size),
		pub:   pub,
		cert:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer},
	}, err
}

// has reports whether a certificate was made of one of our keys.
func (r *ring) has(cert *x509.Certificate) bool {
	pub, ok := cert.PublicKey.(ed25519.PublicKey)
	for i := range r.keys {
		if ok && r.keys[i].pub.Equal(pub) {
			return true
		}
	}
	return false
}

// byName finds the key that a caller named; the first when it is not ours.
func (r *ring) byName(server string) *ringKey {
	for i := range r.keys {
		if r.keys[i].print == server {
			return &r.keys[i]
		}
	}
	return &r.keys[0]
}

const macSize = 16

// seal appends the proof of b by the key in use.
func (r *ring) seal(b []byte) []byte { return append(b, tag(r.keys[0].mac, b)...) }

// open returns b without its proof; ok is false when none of the keys made it.
func (r *ring) open(b []byte) (body []byte, ok bool) {
	if len(b) < macSize {
		return nil, false
	}
	body, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	for i := range r.keys {
		if hmac.Equal(tag(r.keys[i].mac, body), mac) {
			return body, true
		}
	}
	return nil, false
}

func tag(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(b) // never fails
	return h.Sum(nil)[:macSize]
}

// labelled reports whether a packet of memberlist carries a label, and whether
// it is ours.
func (r *ring) labelled(b []byte) (has, ours bool) {
	const hasLabel = 244 // memberlist's message type
	if len(b) < 2 || b[0] != hasLabel || len(b) < 2+int(b[1]) {
		return false, false
	}
	return true, bytes.Equal(b[2:2+int(b[1])], []byte(r.id.Name))
}

// StrangerError means that the other end of a stream is no member of our
// cluster, or that we are none of its.
type StrangerError struct {
	Cluster, ID string // what it says it belongs to; unproven
	Ours        Identity
}

// SameCluster reports that it is the same cluster with another key.
func (e *StrangerError) SameCluster() bool { return e.ID == e.Ours.ID }

func (e *StrangerError) Error() string {
	if e.SameCluster() {
		return fmt.Sprintf("the key of cluster %q is not the one we have (%s)", e.Cluster, e.Ours.Keys[0])
	}
	return fmt.Sprintf("it belongs to another cluster: %q (%s), not %q (%s)", e.Cluster, short(e.ID), e.Ours.Name, short(e.Ours.ID))
}

func stranger(cert *x509.Certificate, ours Identity) error {
	return &StrangerError{
		Cluster: printable([]byte(cert.Subject.CommonName)), ID: printable([]byte(cert.Subject.SerialNumber)), Ours: ours,
	}
}

func short(id string) string { return id[:min(len(id), 8)] }
