package acl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/tg123/go-htpasswd"
)

// userFile is a htpasswd file: users and their hashed passwords.
type userFile struct {
	index map[string]int // into hashes
	// hashes in the order of the file, so that an unknown user can be given one
	// of them to be checked against.
	hashes []htpasswd.EncodedPasswd
}

// systems are the formats of htpasswd files that are taken. Plain text is not
// among them: it would accept a hash of any unknown format as the password
// itself.
var systems = []htpasswd.PasswdParser{
	htpasswd.AcceptBcrypt, htpasswd.AcceptMd5, htpasswd.AcceptSha, htpasswd.AcceptSsha, htpasswd.AcceptCryptSha,
}

// The parsers leave much to the first comparison, which then fails, panics or
// takes minutes; so the form is checked here, and the cost bounded.
var (
	bcryptForm   = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./0-9A-Za-z]{53}$`)
	md5Form      = regexp.MustCompile(`^\$(1|apr1)\$[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}$`)
	cryptSHAForm = regexp.MustCompile(`^\$[56]\$(?:rounds=(\d{4,9})\$)?[./0-9A-Za-z]{1,16}\$(?:[./0-9A-Za-z]{43}|[./0-9A-Za-z]{86})$`)
)

const (
	maxBcryptCost = 15        // some seconds
	maxSHARounds  = 1_000_000 // about a second
)

func readUserFile(path string) (*userFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return parseUserFile(path, f)
}

// parseUserFile reads lines of user:hash. Its errors name the line and the
// user, never the hash.
func parseUserFile(name string, r io.Reader) (*userFile, error) {
	u := &userFile{index: make(map[string]int)}
	var found []error
	scan := bufio.NewScanner(r)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := u.add(line); err != nil && len(found) < maxLineErrors {
			found = append(found, fmt.Errorf("%s:%d: %w", name, n, err))
		}
	}
	if err := scan.Err(); err != nil {
		found = append(found, fmt.Errorf("read %s: %w", name, err))
	}
	if err := errors.Join(found...); err != nil {
		return nil, err
	}
	return u, nil
}

func (u *userFile) add(line string) error {
	user, encoded, ok := strings.Cut(line, ":")
	if !ok || user == "" {
		return errors.New("want user:hash")
	}
	if _, ok := u.index[user]; ok {
		return fmt.Errorf("user %q is listed twice", user)
	}
	hash, err := parseHash(encoded)
	if err != nil {
		return fmt.Errorf("user %q: %w", user, err)
	}
	u.index[user] = len(u.hashes)
	u.hashes = append(u.hashes, hash)
	return nil
}

func parseHash(encoded string) (htpasswd.EncodedPasswd, error) {
	if err := checkForm(encoded); err != nil {
		return nil, err
	}
	for _, parse := range systems {
		hash, err := parse(encoded)
		if err != nil {
			break // its text quotes the hash
		}
		if hash != nil {
			return hash, nil
		}
	}
	return nil, errors.New("unknown or malformed password hash: want bcrypt, MD5-apr1, SHA, SSHA or SHA-crypt, as htpasswd -B writes")
}

func checkForm(encoded string) error {
	malformed := errors.New("malformed password hash")
	switch {
	case strings.HasPrefix(encoded, "$2"):
		m := bcryptForm.FindStringSubmatch(encoded)
		if m == nil {
			return malformed
		}
		if cost, _ := strconv.Atoi(m[1]); cost < 4 || cost > maxBcryptCost {
			return fmt.Errorf("bcrypt cost %d is outside 4 to %d", cost, maxBcryptCost)
		}
	case strings.HasPrefix(encoded, "$5$"), strings.HasPrefix(encoded, "$6$"):
		m := cryptSHAForm.FindStringSubmatch(encoded)
		if m == nil {
			return malformed
		}
		if rounds, _ := strconv.Atoi(m[1]); rounds > maxSHARounds {
			return fmt.Errorf("%d rounds are more than %d", rounds, maxSHARounds)
		}
	case strings.HasPrefix(encoded, "$"):
		if !md5Form.MatchString(encoded) {
			return malformed
		}
	}
	return nil
}

// verify reports whether the password is the user's. An unknown user costs a
// comparison too, with the hash that pick chooses, so that the time taken does
// not tell who exists.
func (u *userFile) verify(user, password string, pick uint64) bool {
	i, known := u.index[user]
	if !known {
		if len(u.hashes) == 0 {
			return false
		}
		i = int(pick % uint64(len(u.hashes)))
	}
	return u.hashes[i].MatchesPassword(password) && known
}
