package accesslog

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// Strings of an entry may be views of a buffer that is used again at once.
func TestLogKeepsNoStrings(t *testing.T) {
	for _, f := range []Format{FormatSquid, FormatCombined, FormatJSON} {
		w, path := open(t, func(o *Options) { o.Format, o.StripQuery = f, true })
		buffer := make([]byte, 0, 4096)
		view := func(s string) string {
			at := len(buffer)
			buffer = append(buffer, s...)
			return unsafe.String(&buffer[at], len(s))
		}
		e := sample()
		e.Time = time.UnixMilli(1763634000123).UTC()
		e.Method, e.URL, e.Proto, e.User = view("GET"), view("http://example.com/a?b"), view("HTTP/1.1"), view("bob")
		e.ContentType, e.Referer, e.UserAgent, e.CacheStatus = view("text/html"), view("http://r/"), view("agent"), view("n1; hit")
		want := string(Append(nil, f, e, "n1"))
		want = strings.Replace(want, "a?b", "a?", 1)
		w.Log(e)
		for i := range buffer {
			buffer[i] = 'X'
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(lines(t, path), "\n"); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%v: %q, want %q", f, got, want)
		}
		if bytes.IndexByte(buffer, 'b') >= 0 {
			t.Error("the buffer was not used")
		}
	}
}
