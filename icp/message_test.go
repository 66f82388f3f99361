package icp

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden reads a packet that was captured between two squids.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []byte
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	return all
}

const (
	one  = "http://127.0.0.1:8698/one"
	warm = "http://127.0.0.1:8698/warm"
)

// What squid sends is read, and written the same way.
func TestGoldenPackets(t *testing.T) {
	for _, c := range []struct {
		name string
		want Message
		err  error
	}{
		{"01-query", Message{Opcode: OpQuery, Number: 1, URL: one}, nil},
		{"08-miss-src-rtt", Message{Opcode: OpMiss, Number: 1, Flags: FlagSrcRTT, Data: 1, URL: warm}, nil},
		{"14-miss-nofetch", Message{Opcode: OpMissNoFetch, Number: 6, URL: "http://127.0.0.99:8698/nf"}, nil},
		{"15-err-malformed-url", Message{Opcode: OpErr, Number: 0x11223344, URL: "nonsense"}, nil},
		{"18-err-to-query-without-nul", Message{Opcode: OpErr, Number: 0x11223344}, nil},
		{"17-query-without-nul", Message{Opcode: OpQuery, Number: 0x11223344}, ErrURL},
		{"19-decho", Message{Opcode: OpDEcho, Number: 1, URL: "http://127.0.0.1:8698/e1"}, nil},
	} {
		b := golden(t, c.name)
		m, err := Parse(b)
		if m != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v %v, want %+v %v", c.name, m, err, c.want, c.err)
		}
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txt")
		b := golden(t, name)
		m, err := Parse(b)
		if strings.Contains(name, "query-without-nul") && !strings.HasPrefix(name, "18") {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := Append(nil, &m); !bytes.Equal(got, b) {
			t.Errorf("%s: written as\n%x, but is\n%x", name, got, b)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	query := Append(nil, &Message{Opcode: OpQuery, Number: 7, URL: one})
	hit := Append(nil, &Message{Opcode: OpHit, Number: 7, URL: one})
	change := func(b []byte, at int, v byte) []byte {
		b = bytes.Clone(b)
		b[at] = v
		return b
	}
	sized := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[2], b[3] = byte(len(b)>>8), byte(len(b))
		return b
	}
	for _, c := range []struct {
		what string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrShort},
		{"19 bytes", query[:19], ErrShort},
		{"version 3", change(query, 1, 3), ErrVersion},
		{"version 1", change(query, 1, 1), ErrVersion},
		{"a length too small", change(query, 3, query[3]-1), ErrLength},
		{"a byte behind", append(bytes.Clone(query), 0), ErrLength},
		{"a query of a header alone", sized(query[:20]), ErrURL},
		{"a query without a URL", sized(query[:24]), ErrURL},
		{"two NULs", sized(append(bytes.Clone(query), 0)), ErrURL},
		{"a NUL inside", change(query, 30, 0), ErrURL},
		{"bytes behind the NUL", sized(append(bytes.Clone(hit), 'x')), ErrURL},
		{"a reply without a NUL", sized(hit[:len(hit)-1]), ErrURL},
		{"a reply of a header alone", sized(hit[:20]), ErrURL},
		{"an unknown opcode", change(hit, 0, 99), nil},
	} {
		if _, err := Parse(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"01-query", "02-hit", "08-miss-src-rtt", "17-query-without-nul", "19-decho"} {
		f.Add(golden(f, name))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		if strings.Contains(m.URL, "\x00") {
			t.Fatalf("a NUL in %q", m.URL)
		}
		if m.Opcode != OpQuery && m.Opcode != OpDEcho && !m.Opcode.reply() {
			return
		}
		again, err := Parse(Append(nil, &m))
		if again != m || err != nil {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	p := Append(nil, &Message{Opcode: OpQuery, Number: 7, URL: one})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(p); err != nil {
			b.Fatal(err)
		}
	}
}
