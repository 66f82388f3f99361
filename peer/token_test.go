package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func goldenToken() Token {
	t := Token{Cluster: "lab", ID: "0102030405060708"}
	for i := range t.Key {
		t.Key[i] = byte(i)
	}
	return t
}

const goldenTokenText = "cn1-AQIDBAUGBwgAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH2xhYoLz9Og"

func TestTokenGolden(t *testing.T) {
	want := goldenToken()
	if got := want.Encode(); got != goldenTokenText {
		t.Errorf("encoded %s", got)
	}
	if got, err := ParseToken(" " + goldenTokenText + "\n"); err != nil || got != want {
		t.Errorf("parsed %v, %v", got, err)
	}
}

func TestTokenTyposAreNamed(t *testing.T) {
	whole := goldenTokenText
	for in, want := range map[string]string{
		"":                                  "empty",
		"hello":                             "not a join token",
		"cn2-abcdefgh":                      "newer form",
		whole[:20]:                          "cut short",
		whole[:len(whole)-4]:                "cut short",
		whole[:30] + "x" + whole[31:]:       "typing error",
		whole[:30] + "!" + whole[31:]:       "typing error",
		whole[:30] + whole[31:]:             "typing error",
		strings.ToUpper(whole):              "not a join token",
		"cn1-" + strings.ToLower(whole[4:]): "typing error",
	} {
		_, err := ParseToken(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	tok := goldenToken()
	id := tok.Identity()
	for _, s := range []string{fmt.Sprint(tok), fmt.Sprintf("%+v %#v", tok, tok), fmt.Sprintf("%v %+v %#v", id, id, id)} {
		if strings.Contains(s, "AAECAw") || strings.Contains(s, "0, 1, 2, 3") || strings.Contains(s, "0 1 2 3") || strings.Contains(s, "0x1, 0x2") {
			t.Errorf("a secret in %q", s)
		}
	}
}

func TestIdentityIsKept(t *testing.T) {
	dir := t.TempDir()
	if _, ok, err := LoadIdentity(dir); ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	id := NewIdentity("", time.Unix(1763634000, 0))
	id.Keys = append(id.Keys, NewKey())
	if err := id.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, ok, err := LoadIdentity(dir)
	if err != nil || !ok || got.Name != id.Name || len(got.Keys) != 2 || got.Keys[1] != id.Keys[1] || !got.Created.Equal(id.Created) {
		t.Errorf("%v %v %v", got, ok, err)
	}
	if info, _ := os.Stat(filepath.Join(dir, IdentityName)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := os.WriteFile(filepath.Join(dir, IdentityName), []byte(`{"name":"x","id":"y","keys":["AAAA"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), "not a key") {
		t.Errorf("a damaged key: %v", err)
	}
}

func TestNodeIDStays(t *testing.T) {
	dir := t.TempDir()
	a, err := loadOrCreateNodeID(dir)
	if err != nil || len(a) != 36 {
		t.Fatal(a, err)
	}
	if b, err := loadOrCreateNodeID(dir); b != a || err != nil {
		t.Errorf("%s became %s, %v", a, b, err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(goldenTokenText)
	f.Add("cn1-")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			return
		}
		if again, err := ParseToken(tok.Encode()); err != nil || again != tok {
			t.Fatalf("%v, %v", again, err)
		}
	})
}
