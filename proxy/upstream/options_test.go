package upstream

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/internal/units"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
}

func TestEveryProblemIsNamed(t *testing.T) {
	o := DefaultOptions()
	o.ConnectTimeout, o.ReadTimeout = 0, 0
	o.MaxIdle, o.MaxResponseHead = -1, units.KiB
	o.TLS.MinVersion = "1.1"
	o.Parents.Policy, o.Parents.Direct = "random", "sometimes"
	o.Parents.List = []Parent{
		{URL: "a.example:3128"}, {URL: "http://a.example:8080"}, {URL: "b.example"}, {URL: "socks5://c.example:1080"},
		{URL: "http://me:secret@d.example:3128"}, {URL: "e.example:99999"}, {URL: "f.example:3128", PasswordFile: "x"},
		{URL: "g.example:3128", User: "a:b"}, {URL: "http://h.example:3128/path"},
	}
	o.Parents.Exempt = []string{"10.0.0.0/8", "", "http://x"}
	o.Parents.Health.Rise, o.Parents.Health.Fall, o.Parents.Health.Timeout = 0, 0, 0
	err := o.Validate()
	if err == nil {
		t.Fatal("valid")
	}
	text := err.Error()
	for _, key := range []string{
		"connect_timeout", "read_timeout", "max_idle", "max_response_head", "tls.min_version",
		"parents.policy", "parents.direct", "parents.list[1].name", "parents.list[2].url", "parents.list[3].url",
		"parents.list[4].url", "parents.list[5].url", "parents.list[6].user", "parents.list[7].user", "parents.list[8].url",
		"parents.exempt[1]", "parents.exempt[2]", "parents.health.rise", "parents.health.fall", "parents.health.timeout",
	} {
		if !strings.Contains(text, "proxy.upstream."+key+": ") {
			t.Errorf("%s is not named", key)
		}
	}
	if strings.Contains(text, "secret") {
		t.Error("a password is shown")
	}
	if n := strings.Count(text, "\n") + 1; n != 20 {
		t.Errorf("%d problems, want 20:\n%s", n, text)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.TLS.CAFile = empty
	o.Parents.List = []Parent{{URL: "a.example:1", User: "me", PasswordFile: empty + "-not"}}
	err := o.Validate()
	if err == nil || !strings.Contains(err.Error(), "tls.ca_file") || !strings.Contains(err.Error(), "list[0].password_file") {
		t.Errorf("got %v", err)
	}
}
