package peer

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// Token lets a node join a cluster. It is as secret as the key that it carries.
//
// Printed it is "cn1-" and base64url of
//
//	cluster id (8) | key (32) | name of the cluster | CRC-32 of all that (4)
type Token struct {
	Cluster string
	ID      string
	Key     Key
}

// TokenPrefix begins every token of this form.
const TokenPrefix = "cn1-"

const tokenFixed = 8 + keySize + 4

// Encode prints the token; keep it secret.
func (t Token) Encode() string {
	id, _ := hex.DecodeString(t.ID) // of our own making, or read by ParseToken
	b := append(make([]byte, 0, tokenFixed+len(t.Cluster)), id...)
	b = append(b, t.Key[:]...)
	b = append(b, t.Cluster...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return TokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// String keeps the secret out of logs.
func (t Token) String() string { return fmt.Sprintf("token of %s (%s)", t.Cluster, t.Key) }

// GoString keeps the secret out of %#v.
func (t Token) GoString() string { return t.String() }

// Identity is the cluster that the token belongs to.
func (t Token) Identity() Identity { return Identity{Name: t.Cluster, ID: t.ID, Keys: []Key{t.Key}} }

// ParseToken reads a printed token; white space around it does not matter. The
// error says what is wrong with it, never what is in it.
func ParseToken(s string) (t Token, err error) {
	s = strings.TrimSpace(s)
	rest, ok := strings.CutPrefix(s, TokenPrefix)
	switch {
	case s == "":
		return t, errors.New("the token is empty")
	case !ok && len(s) > 3 && s[:2] == "cn" && strings.Contains(s[:min(len(s), 6)], "-"):
		return t, errors.New("the token is of a newer form: this cachenode is too old for the cluster")
	case !ok:
		return t, fmt.Errorf("this is not a join token: one begins with %q", TokenPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil {
		return t, errors.New("the token has a typing error or is cut short: it has a character that no token has, or one is missing")
	}
	if len(b) <= tokenFixed {
		return t, errors.New("the token is cut short")
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(sum) {
		return t, errors.New("the token has a typing error or is cut short: its check sum is wrong")
	}
	name := string(body[8+keySize:])
	if printable([]byte(name)) != name || len(name) > maxCluster {
		return t, errors.New("the token is damaged: its cluster has no proper name")
	}
	return Token{Cluster: name, ID: hex.EncodeToString(body[:8]), Key: Key(body[8 : 8+keySize])}, nil
}

// maxCluster bounds the name of a cluster, in bytes.
const maxCluster = 64
