package proxy

import (
	"net/http"
	"slices"
	"testing"
)

// A client that takes nothing does not hold up who passes it hints.
func TestHints(t *testing.T) {
	takes := make(chan struct{})
	var got []int
	p := hints{to: func(code int, _ http.Header) {
		<-takes
		got = append(got, code)
	}}
	for code := range 2 * mostHints {
		p.pass(100+code, nil)
	}
	close(takes)
	p.end()
	if n := len(got); n < mostHints || n > mostHints+1 || !slices.IsSorted(got) || got[0] != 100 {
		t.Errorf("got %v", got)
	}
	none := hints{}
	none.end()
}
