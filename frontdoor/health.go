package frontdoor

// outcome is what came of a check.
type outcome uint8

const (
	passed  outcome = iota
	unready         // it answers that it is not ready
	failed          // no answer, or a wrong one
)

// health is what checks and connections say about a node. The zero value is a
// node of which nothing bad is known.
type health struct {
	grade  grade // fit, leaving (it says that it is not ready) or dead
	rises  int   // checks in a row that have passed while it was dead
	falls  int   // checks in a row that have failed
	misses int   // connections in a row that have failed
}

// check takes the outcome of a check. That a node is not ready is its own word,
// and counts at once; that it does not answer may be chance.
func (h *health) check(o outcome, c Check) {
	if o == failed {
		h.rises = 0
		h.falls++
		h.fall(h.falls, c)
		return
	}
	h.falls = 0
	if h.grade == dead {
		if h.rises++; h.rises < c.Rise {
			return
		}
	}
	h.rises, h.misses = 0, 0
	h.grade = fit
	if o == unready {
		h.grade = leaving
	}
}

// connect takes the outcome of a client's connection. One that was made says
// that the node's kernel lives, not that the node is ready: a dead node needs
// checks to rise, and a hanging one falls by checks.
func (h *health) connect(ok bool, c Check) {
	if ok {
		h.misses = 0
		return
	}
	h.rises = 0
	h.misses++
	h.fall(h.misses, c)
}

// doubtful reports whether the last check or connection failed.
func (h *health) doubtful() bool { return h.falls > 0 || h.misses > 0 || h.grade == dead }

func (h *health) fall(times int, c Check) {
	if times >= c.Fall {
		h.grade = dead
	}
}
