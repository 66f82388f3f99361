package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// TokenName is the file name of the API token in the data directory.
const TokenName = "admin.token"

// minToken is the shortest token that an operator may choose, in characters.
const minToken = 16

// LoadOrCreateToken returns the API token kept in path. When there is no such
// file, or a crash left it empty, it makes one with 130 random bits, readable
// by the owner only.
func LoadOrCreateToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the API token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return createToken(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read the API token: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("the API token %s can be read by every user: run chmod 600 on it, or delete it", path)
	}
	if len(token) < minToken || strings.ContainsFunc(token, notTokenRune) {
		return "", fmt.Errorf("the API token in %s is not usable: want at least %d printable ASCII characters without spaces", path, minToken)
	}
	return token, nil
}

func notTokenRune(r rune) bool { return r <= ' ' || r >= 0x7f }

// createToken writes the file whole or not at all.
func createToken(path string) (string, error) {
	token := rand.Text()
	f, err := os.CreateTemp(filepath.Dir(path), ".admin.token-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("create the API token: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("create the API token: %w", err), os.Remove(f.Name()))
	}
	return token, nil
}

// sum hashes a token, so that comparing takes the same time for every length.
func sum(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// tokenMatches compares in constant time; an empty token of the node matches
// nothing.
func (s *Server) tokenMatches(given string) bool {
	got := sum(given)
	return s.deps.Token != "" && subtle.ConstantTimeCompare(got[:], s.tokenSum[:]) == 1
}
