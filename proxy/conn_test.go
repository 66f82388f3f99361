package proxy

import (
	"strings"
	"testing"
)

// Other protocols are told at once that this is HTTP, without waiting for the
// end of a line that never comes.
func TestOtherProtocols(t *testing.T) {
	r := newRig(t)
	for name, bytes := range map[string]string{
		"TLS":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"SOCKS 5":   "\x05\x01\x00",
		"SOCKS 4":   "\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
		"a space":   " GET",
		"delimiter": "{}",
	} {
		if got := r.raw("%s", bytes); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%s is answered %q", name, got)
		}
	}
	r.page("/a", fields(200, "x"))
	if got := r.raw("GET %s/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", r.origin.URL); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("got %q", got)
	}
}
