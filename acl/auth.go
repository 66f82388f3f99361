package acl

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"
)

// queueShare bounds the requests that wait for a processor to hash their
// password, for each processor. Beyond it they are put off, so that a flood of
// guesses from many addresses ends there and not in the memory.
const queueShare = 64

// maxCredentials bounds a Proxy-Authorization value that is looked at, in bytes.
const maxCredentials = 1024

// authenticator checks Basic credentials (RFC 7617) against a userFile.
type authenticator struct {
	realm   string
	users   *userFile
	ttl     time.Duration
	key     [sha256.Size]byte
	flight  singleflight.Group
	queue   chan struct{} // one slot for each request that hashes or waits to
	hashing chan struct{} // one slot a processor: hashing is all computing

	mu       sync.Mutex // guards verified and failures
	verified *recent[digest, verifiedUser]
	failures *backoff
}

// digest identifies credentials under the authenticator's own random key, so
// that what is remembered is of no use to whoever reads the memory of it.
type digest [sha256.Size]byte

type verifiedUser struct {
	name  string
	until time.Time
}

func newAuthenticator(o Auth, users *userFile) *authenticator {
	a := &authenticator{
		realm:    o.Realm,
		users:    users,
		ttl:      o.CacheTTL.D(),
		queue:    make(chan struct{}, queueShare*runtime.GOMAXPROCS(0)),
		hashing:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		verified: newRecent[digest, verifiedUser](o.CacheEntries),
		failures: newBackoff(o.FreeFailures, o.MaxBackoff.D()),
	}
	_, _ = rand.Read(a.key[:]) // never fails
	return a
}

func (a *authenticator) check(client netip.Addr, value string, now time.Time) (user string, ok bool, retry time.Duration) {
	if value == "" || len(value) > maxCredentials {
		return "", false, 0
	}
	id := a.digest(value)
	user, ok, retry = a.known(client, id, now)
	if ok || retry > 0 {
		return user, ok, retry
	}
	user, password, ok := parseBasic(value)
	if !ok {
		return "", false, 0
	}
	select {
	case a.queue <- struct{}{}:
		defer func() { <-a.queue }()
	default:
		return "", false, firstWait
	}
	// However many requests bring the same credentials at the same moment, the
	// hash is paid once.
	right, _, _ := a.flight.Do(string(id[:]), func() (any, error) {
		return a.attempt(client, user, password, now), nil
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if !right.(bool) {
		return "", false, a.failures.wait(client, now)
	}
	if a.ttl > 0 {
		a.verified.put(id, verifiedUser{user, now.Add(a.ttl)})
	}
	return user, true, 0
}

// known answers from memory: a client that has to wait, or credentials that
// were right not long ago.
func (a *authenticator) known(client netip.Addr, id digest, now time.Time) (user string, ok bool, retry time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if retry = a.failures.wait(client, now); retry > 0 {
		return "", false, retry
	}
	v, ok := a.verified.get(id)
	if !ok || !now.Before(v.until) {
		return "", false, 0
	}
	return v.name, true, 0
}

// attempt compares a password. It counts as a failure until it turns out right,
// so that guesses sent side by side are not free.
func (a *authenticator) attempt(client netip.Addr, user, password string, now time.Time) bool {
	a.mu.Lock()
	if a.failures.wait(client, now) > 0 {
		a.mu.Unlock()
		return false
	}
	until := a.failures.charge(client, now)
	a.mu.Unlock()
	a.hashing <- struct{}{}
	right := a.users.verify(user, password, a.pick(user))
	<-a.hashing
	if right {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.failures.refund(client, until)
	}
	return right
}

// pick is a number that is always the same for a user name and cannot be
// foreseen.
func (a *authenticator) pick(user string) uint64 {
	id := a.digest(user)
	return binary.BigEndian.Uint64(id[:])
}

func (a *authenticator) digest(s string) digest {
	var buf [sha256.Size + maxCredentials]byte
	n := copy(buf[:], a.key[:])
	n += copy(buf[n:], s)
	return sha256.Sum256(buf[:n])
}

// parseBasic reads the value of a Proxy-Authorization field (RFC 7617 §2).
func parseBasic(value string) (user, password string, ok bool) {
	scheme, encoded, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Trim(encoded, " "))
	if err != nil {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(raw), ":")
	if !ok || user == "" || !utf8.ValidString(user) || strings.ContainsFunc(string(raw), isControl) {
		return "", "", false
	}
	return user, password, true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
