package upstream

import (
	"errors"
	"net/http"

	"github.com/cachenode/cachenode/accesslog"
)

// Sibling is a cache beside this one.
type Sibling struct {
	Name string
	Addr string         // of its proxy, host:port
	Hier accesslog.Hier // how it was found, for the Route
}

// DoSibling sends req to a sibling's proxy, and nowhere else, as Do does to a
// parent. Only http URLs can be asked for. The time it takes is bounded by the
// context of req alone.
func (c *Client) DoSibling(req *http.Request, s Sibling) (*http.Response, Route, error) {
	route := Route{Hier: s.Hier, Peer: s.Name}
	t, err := targetOf(req)
	if err == nil && t.tls {
		err = requestError{errors.New("a sibling is asked for http URLs only")}
	}
	if err != nil {
		return nil, route, Classify(err)
	}
	via := &parent{parentAddress: parentAddress{name: "sibling " + s.Name, hostport: s.Addr}, sibling: true}
	w := wanted(req)
	for try := 0; ; try++ {
		cn, err := c.connectBy(req.Context(), t, via, w)
		if err != nil {
			return nil, route, Classify(err)
		}
		resp, again, err := c.exchange(cn, via, t, req, nil)
		if err == nil {
			return resp, route, nil
		}
		if !again || try == maxRepeats {
			return nil, route, Classify(err)
		}
		w = wantFresh
	}
}
