package proxy

import (
	"net/http"
	"slices"
	"testing"
)

// hinted takes informational responses when it may.
type hinted struct {
	takes chan struct{}
	got   []int
}

func (i *hinted) interim(code int, _ http.Header) {
	<-i.takes
	i.got = append(i.got, code)
}

// A client that takes nothing does not hold up who passes it hints.
func TestHints(t *testing.T) {
	to := &hinted{takes: make(chan struct{})}
	p := hints{to: to}
	for code := range 2 * mostHints {
		p.pass(100+code, nil)
	}
	close(to.takes)
	p.end()
	if n := len(to.got); n < mostHints || n > mostHints+1 || !slices.IsSorted(to.got) || to.got[0] != 100 {
		t.Errorf("got %v", to.got)
	}
	none := hints{}
	none.end()
}
