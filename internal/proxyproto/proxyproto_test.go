package proxyproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

const sig = "0d0a0d0a000d0a515549540a"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	const mapped1 = "00000000000000000000ffff 0a000005"
	for name, c := range map[string]struct{ client, here, wire, parsedClient, parsedHere string }{
		"IPv4": {
			"10.0.0.5:40000", "10.0.0.100:3128", "21 11 000c 0a000005 0a000064 9c40 0c38",
			"10.0.0.5:40000", "10.0.0.100:3128",
		},
		"IPv6": {
			"[fd00::5]:40000", "[fd00::100]:3128",
			"21 21 0024 fd000000000000000000000000000005 fd000000000000000000000000000100 9c40 0c38",
			"[fd00::5]:40000", "[fd00::100]:3128",
		},
		"mapped is IPv4": {
			"[::ffff:10.0.0.5]:40000", "10.0.0.100:3128", "21 11 000c 0a000005 0a000064 9c40 0c38",
			"10.0.0.5:40000", "10.0.0.100:3128",
		},
		"mixed is IPv6": {
			"10.0.0.5:1", "[fd00::100]:65535", "21 21 0024 " + mapped1 + " fd000000000000000000000000000100 0001 ffff",
			"10.0.0.5:1", "[fd00::100]:65535",
		},
		"a zone stays at home": {
			"[fe80::5%eth0]:1", "[fe80::1%eth0]:2",
			"21 21 0024 fe800000000000000000000000000005 fe800000000000000000000000000001 0001 0002",
			"[fe80::5]:1", "[fe80::1]:2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wire := Append([]byte("before"), netip.MustParseAddrPort(c.client), netip.MustParseAddrPort(c.here))
			want := append([]byte("before"), unhex(t, sig+c.wire)...)
			if !bytes.Equal(wire, want) {
				t.Fatalf("appended\n%x, want\n%x", wire, want)
			}
			h, n, err := Parse(append(wire[len("before"):], "GET"...))
			if err != nil || n != len(wire)-len("before") {
				t.Fatalf("parsed %d of %d bytes, %v", n, len(wire), err)
			}
			if !h.Proxied || h.Client.String() != c.parsedClient || h.Local.String() != c.parsedHere {
				t.Errorf("parsed %+v", h)
			}
		})
	}
}

func TestUnknownAddressesAreTheBalancersOwn(t *testing.T) {
	b := Append(nil, netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.1:1"))
	if want := unhex(t, sig+"20 00 0000"); !bytes.Equal(b, want) {
		t.Fatalf("got %x, want %x", b, want)
	}
	if h, n, err := Parse(b); err != nil || n != len(b) || h != (Header{}) {
		t.Errorf("got %+v, %d, %v", h, n, err)
	}
}

func TestParse(t *testing.T) {
	const addr4 = "0a000005 0a000064 9c40 0c38"
	for name, c := range map[string]struct {
		wire string
		err  error
	}{
		"extensions":                     {sig + "21 11 0014" + addr4 + "e0 0001 ff 04 0001 00", nil},
		"an empty extension":             {sig + "21 11 000f" + addr4 + "e0 0000", nil},
		"local with addresses":           {sig + "20 11 000c" + addr4, nil},
		"local of an unknown family":     {sig + "20 ff 0003 010203", nil},
		"the longest":                    {sig + "21 11 0208" + addr4 + "04 01f9" + strings.Repeat("00", 0x1f9), nil},
		"nothing":                        {"", ErrShort},
		"version 1":                      {hex.EncodeToString([]byte("PROXY TCP4 1.2.3.4 ")), ErrSignature},
		"a request":                      {hex.EncodeToString([]byte("GET / HTTP/1.1\r\n")), ErrSignature},
		"an empty line before a request": {hex.EncodeToString([]byte("\r\nGET")), ErrSignature},
		"the last byte is wrong":         {"0d0a0d0a000d0a515549540b", ErrSignature},
		"version 3":                      {sig + "31", ErrVersion},
		"version 1 in binary":            {sig + "11", ErrVersion},
		"command 2":                      {sig + "22", ErrCommand},
		"no family":                      {sig + "21 00", ErrFamily},
		"datagrams":                      {sig + "21 12", ErrFamily},
		"unix":                           {sig + "21 31 00d8", ErrFamily},
		"IPv4 too short":                 {sig + "21 11 000b", ErrLength},
		"IPv6 too short":                 {sig + "21 21 000c" + addr4, ErrLength},
		"too long":                       {sig + "21 11 0209", ErrLength},
		"local too long":                 {sig + "20 00 ffff", ErrLength},
		"half an extension's head":       {sig + "21 11 000e" + addr4 + "04 00", ErrLength},
		"an extension beyond the end":    {sig + "21 11 0010" + addr4 + "04 0002 00", ErrLength},
	} {
		t.Run(name, func(t *testing.T) {
			b := unhex(t, c.wire)
			_, n, err := Parse(b)
			if !errors.Is(err, c.err) || err == nil && n != len(b) || err != nil && n != 0 {
				t.Errorf("got %d of %d, %v, want %v", n, len(b), err, c.err)
			}
			if c.err != nil {
				return
			}
			for i := range b {
				if _, n, err := Parse(b[:i]); !errors.Is(err, ErrShort) || n != 0 {
					t.Fatalf("of %d bytes: %d, %v, want %v", i, n, err, ErrShort)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Append(nil, netip.MustParseAddrPort("10.0.0.5:40000"), netip.MustParseAddrPort("10.0.0.100:3128")))
	f.Add(Append(nil, netip.MustParseAddrPort("[fd00::5]:1"), netip.MustParseAddrPort("10.0.0.100:3128")))
	f.Add(Append(nil, netip.AddrPort{}, netip.AddrPort{}))
	f.Add(unhex(f, sig+"21 11 0014 0a000005 0a000064 9c40 0c38 e0 0001 ff 04 0001 00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		if err != nil {
			if n != 0 || h != (Header{}) {
				t.Fatalf("%+v, %d beside %v", h, n, err)
			}
			if errors.Is(err, ErrShort) && len(b) >= MaxSize {
				t.Fatalf("%d bytes are not enough", len(b))
			}
			return
		}
		if n < fixed || n > len(b) || n > MaxSize {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
		for _, i := range []int{0, n / 2, n - 1} {
			if _, _, err := Parse(b[:i]); !errors.Is(err, ErrShort) {
				t.Fatalf("of %d bytes: %v", i, err)
			}
		}
		if !h.Proxied {
			return
		}
		again, _, err := Parse(Append(nil, h.Client, h.Local))
		if err != nil || again != h {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	client, here := netip.MustParseAddrPort("10.0.0.5:40000"), netip.MustParseAddrPort("10.0.0.100:3128")
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], client, here)
	}
}
