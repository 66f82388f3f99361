package peer

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// IdentityName is the file of the cluster's secrets in the data directory.
const IdentityName = "cluster.json"

// idName is the file of the node's own id.
const idName = "id"

const keySize = 32

// Key is a secret that all members share; who has it is a member. It prints as
// its fingerprint.
type Key [keySize]byte

// NewKey makes a random key.
func NewKey() (k Key) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// Fingerprint names the key without giving it away.
func (k Key) Fingerprint() string {
	return hex.EncodeToString(k.derive("cachenode key fingerprint", 6))
}

func (k Key) String() string { return "key " + k.Fingerprint() }

// GoString keeps the key out of %#v.
func (k Key) GoString() string { return k.String() }

// Encode is the key itself, for files that nobody else can read.
func (k Key) Encode() string { return base64.StdEncoding.EncodeToString(k[:]) }

// DecodeKey reads what Encode wrote.
func DecodeKey(s string) (k Key, err error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != keySize {
		return k, fmt.Errorf("not a key: want %d bytes in base64", keySize)
	}
	return Key(b), nil
}

// derive makes a secret for one purpose only.
func (k Key) derive(purpose string, size int) []byte {
	b, err := hkdf.Key(sha256.New, k[:], nil, purpose, size)
	if err != nil {
		panic(err) // only for sizes that we do not ask for
	}
	return b
}

// Identity is the cluster a node belongs to, with its secrets.
type Identity struct {
	Name    string
	ID      string // 16 hex digits
	Keys    []Key  // all are accepted; the first is used. Never empty
	Created time.Time
}

// NewIdentity makes a new cluster. Without a name it gets one that tells it from
// others.
func NewIdentity(name string, now time.Time) Identity {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	if name == "" {
		name = "cachenode-" + hex.EncodeToString(id[:2])
	}
	return Identity{Name: name, ID: hex.EncodeToString(id[:]), Keys: []Key{NewKey()}, Created: now.UTC().Truncate(time.Second)}
}

// Token is what another node needs to join.
func (id Identity) Token() Token { return Token{Cluster: id.Name, ID: id.ID, Key: id.Keys[0]} }

// identityFile is the form of cluster.json.
type identityFile struct {
	Name    string    `json:"name"`
	ID      string    `json:"id"`
	Keys    []string  `json:"keys"`
	Created time.Time `json:"created"`
}

// LoadIdentity reads cluster.json in dir; ok is false when there is none.
func LoadIdentity(dir string) (id Identity, ok bool, err error) {
	path := filepath.Join(dir, IdentityName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return id, false, nil
	}
	if err == nil {
		id, err = decodeIdentity(b)
	}
	if err != nil {
		return id, false, fmt.Errorf("read the cluster's identity %s: %w", path, err)
	}
	return id, true, nil
}

func decodeIdentity(b []byte) (id Identity, err error) {
	var f identityFile
	if err := json.Unmarshal(b, &f); err != nil {
		return id, err
	}
	id = Identity{Name: f.Name, ID: f.ID, Created: f.Created}
	for _, s := range f.Keys {
		k, err := DecodeKey(s)
		if err != nil {
			return id, err
		}
		id.Keys = append(id.Keys, k)
	}
	if id.Name == "" || id.ID == "" || len(id.Keys) == 0 {
		return id, errors.New("it lacks a name, an id or a key")
	}
	return id, nil
}

// Save writes cluster.json into dir, for the owner only.
func (id Identity) Save(dir string) error {
	f := identityFile{Name: id.Name, ID: id.ID, Created: id.Created}
	for _, k := range id.Keys {
		f.Keys = append(f.Keys, k.Encode())
	}
	return saveJSON(filepath.Join(dir, IdentityName), f)
}

// loadOrCreateNodeID returns the id kept in dir, and makes one the first time.
func loadOrCreateNodeID(dir string) (string, error) {
	path := filepath.Join(dir, idName)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the node's id: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if id == "" {
		id = newNodeID()
		if err := saveFile(path, []byte(id+"\n")); err != nil {
			return "", fmt.Errorf("keep the node's id: %w", err)
		}
	}
	if len(id) > maxName || printable([]byte(id)) != id {
		return "", fmt.Errorf("the node's id in %s is damaged: delete the file to get a new one", path)
	}
	return id, nil
}

// newNodeID is a random UUID (RFC 9562, version 4).
func newNodeID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func saveJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return saveFile(path, append(b, '\n'))
}

// saveFile writes a file whole or not at all, readable by the owner only.
func saveFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
