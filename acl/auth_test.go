package acl

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tg123/go-htpasswd"
	"golang.org/x/crypto/bcrypt"

	"github.com/cachenode/cachenode/internal/units"
)

const password = "opensesame"

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func bcryptLine(t testing.TB, user string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return user + ":" + string(hash) + "\n"
}

// withUsers makes a list with a user for each format.
func withUsers(t *testing.T, change func(*Auth)) *List {
	t.Helper()
	file := tempFile(t, "# users\n"+bcryptLine(t, "bcrypt")+strings.Join([]string{
		"apr1:$apr1$abcdefgh$hnz8AY7O7E7QvKAVjuw920",
		"md5:$1$saltsalt$DoPDqEvtl7sTRDfUfLChZ1",
		"sha:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=",
		"sha256:$5$saltsalt$jbxAgW5X5LNk4yh.NmUXL1XLS9OoRHueeuIinWYHZ9D",
		"sha512:$6$saltsalt$/dpv42BvGInVKxDULxBMfXE6CN.oHtXdmTeHWMcv5rsd81TjdKcroane5LphAqgVenp/4K1qV/7eYEdl4XS9O/",
		"",
	}, "\n"))
	return newList(t, func(o *Options) {
		o.Auth.Htpasswd = file
		if change != nil {
			change(&o.Auth)
		}
	})
}

func TestEveryFormatOfPassword(t *testing.T) {
	l := withUsers(t, nil)
	for _, user := range []string{"bcrypt", "apr1", "md5", "sha", "sha256", "sha512"} {
		for _, value := range []string{basic(user, password), strings.Replace(basic(user, password), "Basic", "bASIC ", 1)} {
			if got, ok, _ := l.Authenticate(insider, value, noon); !ok || got != user {
				t.Errorf("%s with the right password: %q, %v", user, got, ok)
			}
		}
		for _, wrong := range []string{"", "x", password + "x", strings.ToUpper(password)} {
			if _, ok, _ := l.Authenticate(netip.Addr{}, basic(user, wrong), noon.Add(time.Hour)); ok {
				t.Errorf("%s with the wrong password %q is let in", user, wrong)
			}
			l.auth.failures = newBackoff(5, 0)
		}
	}
	if l.Realm() != "cachenode" {
		t.Errorf("realm %q", l.Realm())
	}
}

func TestWithoutUserFile(t *testing.T) {
	l := newList(t, nil)
	if user, ok, retry := l.Authenticate(insider, "Basic x", noon); user != "" || !ok || retry != 0 {
		t.Errorf("%q %v %v", user, ok, retry)
	}
	if l.Realm() != "" {
		t.Errorf("realm %q", l.Realm())
	}
}

func TestCredentialsThatAreNone(t *testing.T) {
	l := withUsers(t, nil)
	for _, value := range []string{
		"", "Basic", "Basic ", "Bearer abc", "Basic !!!", "Basic " + base64.StdEncoding.EncodeToString([]byte("sha")),
		basic("", password), basic("sha\n", password), basic("sha", password+"\x00"), basic("s\xffa", password),
		basic("sha", strings.Repeat("x", 2000)), "Basic " + strings.Repeat(" ", 3000),
		strings.TrimSuffix(basic("sha", "1"), "="), basic("sha", password) + ", " + basic("sha", password),
	} {
		if _, ok, retry := l.Authenticate(insider, value, noon); ok || retry != 0 {
			t.Errorf("%.40q: %v, wait %v", value, ok, retry)
		}
	}
	if len(l.auth.failures.clients.young) != 0 {
		t.Error("values without a password count as failures")
	}
}

func TestUserFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"alice":                        "f:1: want user:hash",
		":x":                           "f:1: want user:hash",
		"\n# c\nalice:plain":           "f:3: user \"alice\": unknown or malformed",
		"alice:rl.3StKT.4T8M":          "unknown or malformed", // DES crypt, which would be its own password
		"alice:{SHA}F2GPAaOiG5Ec":      "unknown or malformed",
		"alice:$2y$31$" + rep("a", 53): "bcrypt cost 31",
		"alice:$2y$05$short":           "malformed",
		"alice:$2x$05$" + rep("a", 53): "malformed",
		"alice:$6$rounds=999999999$s$" + rep("a", 86): "999999999 rounds",
		"alice:$6$rounds=x$s$" + rep("a", 86):         "malformed",
		"alice:$apr1$$":                               "malformed",
		"alice:$7$x":                                  "malformed",
		"a:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=\na:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=": "f:2: user \"a\" is listed twice",
		"a:" + rep("x", 70_000): "token too long",
	} {
		_, err := parseUserFile("f", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

func rep(s string, n int) string { return strings.Repeat(s, n) }

// counting counts how often a hash is paid for.
type counting struct {
	mu       sync.Mutex // guards n
	n        int
	password string
	pause    chan struct{}
}

func (c *counting) MatchesPassword(pw string) bool {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	if c.pause != nil {
		<-c.pause
	}
	return pw == c.password
}

func counted(o Auth, hash *counting) *authenticator {
	return newAuthenticator(o, &userFile{index: map[string]int{"alice": 0}, hashes: []htpasswd.EncodedPasswd{hash}})
}

func TestRightPasswordIsRemembered(t *testing.T) {
	hash := &counting{password: password}
	a := counted(DefaultOptions().Auth, hash)
	for range 5 {
		if user, ok, _ := a.check(insider, basic("alice", password), noon); !ok || user != "alice" {
			t.Fatal("not let in")
		}
	}
	if hash.n != 1 {
		t.Errorf("hashed %d times, want once", hash.n)
	}
	a.check(insider, basic("alice", password), noon.Add(11*time.Minute))
	if hash.n != 2 {
		t.Errorf("hashed %d times after the memory's limit, want twice", hash.n)
	}
	for id := range a.verified.young {
		if strings.Contains(string(id[:]), password) {
			t.Error("the password is kept")
		}
	}

	hash = &counting{password: password}
	o := DefaultOptions().Auth
	o.CacheTTL = 0
	a = counted(o, hash)
	for range 3 {
		a.check(insider, basic("alice", password), noon)
	}
	if hash.n != 3 {
		t.Errorf("memory switched off: hashed %d times, want 3", hash.n)
	}
}

func TestEqualCredentialsAreHashedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &counting{password: password, pause: make(chan struct{})}
		a := counted(DefaultOptions().Auth, hash)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, ok, _ := a.check(insider, basic("alice", password), noon); !ok {
					t.Error("not let in")
				}
			})
		}
		synctest.Wait()
		close(hash.pause)
		all.Wait()
		if hash.n != 1 {
			t.Errorf("hashed %d times, want once", hash.n)
		}
	})
}

func TestFloodOfPasswordsIsPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &counting{password: password, pause: make(chan struct{})}
		a := counted(DefaultOptions().Auth, hash)
		var all sync.WaitGroup
		for i := range cap(a.queue) {
			client := netip.AddrFrom4([4]byte{10, 7, byte(i >> 8), byte(i)})
			all.Go(func() { a.check(client, basic("alice", fmt.Sprint(i)), noon) })
		}
		synctest.Wait()
		if _, ok, retry := a.check(insider, basic("alice", password), noon); ok || retry <= 0 {
			t.Errorf("not put off: %v, %v", ok, retry)
		}
		close(hash.pause)
		all.Wait()
		if _, ok, _ := a.check(netip.MustParseAddr("10.9.9.9"), basic("alice", password), noon); !ok {
			t.Error("not let in after the flood")
		}
	})
}

func TestGuessesSideBySideAreNotFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hash := &counting{password: password, pause: make(chan struct{})}
		a := counted(DefaultOptions().Auth, hash)
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() { a.check(insider, basic("alice", fmt.Sprint(i)), noon) })
		}
		synctest.Wait()
		close(hash.pause)
		all.Wait()
		if hash.n != 6 {
			t.Errorf("%d guesses were looked at, want 5 and the one that makes the client wait", hash.n)
		}
	})
}

func TestUnknownUserCostsAHash(t *testing.T) {
	hash := &counting{password: password}
	a := counted(DefaultOptions().Auth, hash)
	if _, ok, _ := a.check(insider, basic("mallory", password), noon); ok {
		t.Error("an unknown user is let in with somebody's password")
	}
	if hash.n != 1 {
		t.Errorf("hashed %d times, want once", hash.n)
	}
	empty := newAuthenticator(DefaultOptions().Auth, &userFile{})
	if _, ok, _ := empty.check(insider, basic("mallory", password), noon); ok {
		t.Error("an empty file lets somebody in")
	}
}

func TestWrongPasswordsMakeAClientWait(t *testing.T) {
	hash := &counting{password: password}
	a := counted(DefaultOptions().Auth, hash)
	now := noon
	for i := range 5 {
		if _, _, retry := a.check(insider, basic("alice", fmt.Sprint(i)), now); retry != 0 {
			t.Fatalf("has to wait %v after %d failures", retry, i+1)
		}
	}
	for _, want := range []time.Duration{1, 2, 4, 8} {
		_, ok, retry := a.check(insider, basic("alice", "x"), now)
		if want *= time.Second; ok || retry != want {
			t.Fatalf("has to wait %v, want %v", retry, want)
		}
		before := hash.n
		if _, ok, retry = a.check(insider, basic("alice", password), now); ok || retry != want || hash.n != before {
			t.Fatal("the password was looked at meanwhile")
		}
		now = now.Add(want)
	}
	if _, ok, _ := a.check(netip.MustParseAddr("10.1.2.4"), basic("alice", password), now); !ok {
		t.Error("another client has to wait too")
	}
	if _, ok, _ := a.check(insider, basic("alice", password), now); !ok {
		t.Error("not let in after the wait")
	}
	// Failures are forgotten one a minute, not by a success.
	if _, _, retry := a.check(insider, basic("bob", "x"), now); retry != 16*time.Second {
		t.Errorf("has to wait %v after a success, want 16s", retry)
	}
	now = now.Add(9 * time.Minute)
	if _, _, retry := a.check(insider, basic("bob", "x"), now); retry != 0 {
		t.Errorf("has to wait %v after nine minutes", retry)
	}
}

func TestWaitIsBounded(t *testing.T) {
	b := newBackoff(0, 30*time.Second)
	now := noon
	for range 100 {
		b.charge(insider, now)
		if wait := b.wait(insider, now); wait > 30*time.Second || wait <= 0 {
			t.Fatalf("wait %v", wait)
		}
		now = now.Add(30 * time.Second)
	}
	if wait := b.wait(insider, noon.Add(-24*time.Hour)); wait > 30*time.Second {
		t.Errorf("wait %v after the clock was set back", wait)
	}
	off := newBackoff(0, 0)
	off.charge(insider, now)
	off.refund(insider, time.Time{})
	if wait := off.wait(insider, now); wait != 0 {
		t.Errorf("switched off: wait %v", wait)
	}
}

func TestIPv6ClientIsItsNetwork(t *testing.T) {
	b := newBackoff(0, time.Minute)
	b.charge(netip.MustParseAddr("2001:db8::1"), noon)
	for addr, want := range map[string]bool{"2001:db8::2": true, "2001:db8:0:0:ffff::": true, "2001:db8:0:1::1": false} {
		if got := b.wait(netip.MustParseAddr(addr), noon) > 0; got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	b.charge(netip.MustParseAddr("::ffff:10.0.0.1"), noon)
	if b.wait(netip.MustParseAddr("10.0.0.1"), noon) == 0 {
		t.Error("an IPv4-mapped client is another than the same in IPv4")
	}
}

func TestRecentIsBounded(t *testing.T) {
	r := newRecent[int, int](100)
	for i := range 10_000 {
		r.put(i, i)
		if v, ok := r.get(0); !ok || v != 0 {
			t.Fatalf("the entry in use was dropped at %d", i)
		}
	}
	if n := len(r.young) + len(r.old); n > 100 {
		t.Errorf("%d entries", n)
	}
	if _, ok := r.get(9_999); !ok {
		t.Error("the last entry was dropped")
	}
	none := newRecent[int, int](0)
	none.put(1, 1)
	if _, ok := none.get(1); ok {
		t.Error("an entry is kept by a map of none")
	}
}

func TestOptionsOfAuth(t *testing.T) {
	o := DefaultOptions()
	o.Auth.CacheTTL = units.Duration(-1)
	if o.Validate() == nil {
		t.Error("a negative time is accepted")
	}
}

func BenchmarkAuthenticateRemembered(b *testing.B) {
	a := counted(DefaultOptions().Auth, &counting{password: password})
	value := basic("alice", password)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, _ := a.check(insider, value, noon); !ok {
			b.Fatal("not let in")
		}
	}
}
