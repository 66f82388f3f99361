package proxy

import "net/http"

// hints passes informational responses on to a client, in order, while the fetch
// goes on on the client's own goroutine: others may wait for it, whom a client that
// takes nothing must not hold up. The goroutine that it takes for that is there only
// where there are any; end waits for it.
type hints struct {
	to   informed // nil: nobody
	c    chan interim
	done chan struct{}
}

// informed is who is told of informational responses.
type informed interface{ interim(code int, h http.Header) }

// mostHints is how many of a burst wait; more are dropped.
const mostHints = 4

func (p *hints) pass(code int, h http.Header) {
	if p.c == nil {
		p.c, p.done = make(chan interim, mostHints), make(chan struct{})
		go p.run(p.to)
	}
	select {
	case p.c <- interim{code, h}:
	default:
	}
}

func (p *hints) run(to informed) {
	defer close(p.done)
	for i := range p.c {
		to.interim(i.code, i.header)
	}
}

// end waits until what was passed has been sent.
func (p *hints) end() {
	if p.c != nil {
		close(p.c)
		<-p.done
	}
}
