package bench

import "sync"

// ledger holds what answers claim against the serial numbers of the origin's
// answers. An answer that claims a fetch must bring a number nobody has brought
// with such a claim, made after the request was sent. An answer that claims a hit
// and brings a number made after its request was sent is a hidden fetch, unless
// another request admits that fetch sooner or later.
type ledger struct {
	mu       sync.Mutex // guards all below
	admitted [ledgerSize / 64]uint64
	newest   uint64
	suspects map[uint64]string // number to example
	excuses  int64             // requests whose answer was lost: each may have made a fetch
	dropped  int64             // suspects that found no room
}

// ledgerSize is how many of the newest numbers are remembered.
const ledgerSize = 1 << 20

// maxSuspects bounds those that wait to be cleared.
const maxSuspects = 10_000

// admit notes a claimed fetch. It is false when that number was claimed before.
func (l *ledger) admit(serial uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(serial)
	delete(l.suspects, serial)
	if serial+ledgerSize <= l.newest {
		return true // too long ago to tell
	}
	word, bit := l.place(serial)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// suspect notes a hit with a number made after its request was sent.
func (l *ledger) suspect(serial uint64, example func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(serial)
	if word, bit := l.place(serial); *word&bit != 0 {
		return
	}
	if l.suspects == nil {
		l.suspects = map[uint64]string{}
	}
	if _, known := l.suspects[serial]; known {
		return
	}
	if len(l.suspects) == maxSuspects {
		l.dropped++
		return
	}
	l.suspects[serial] = example()
}

func (l *ledger) excuse() {
	l.mu.Lock()
	l.excuses++
	l.mu.Unlock()
}

// hidden is how many fetches nobody admitted, once all answers are in.
func (l *ledger) hidden() (n int64, example string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = int64(len(l.suspects)) + l.dropped - l.excuses
	if n <= 0 {
		return 0, ""
	}
	for _, example = range l.suspects {
		break
	}
	return n, example
}

// advance forgets numbers that fall out of the window. The mutex is held.
func (l *ledger) advance(serial uint64) {
	if serial <= l.newest {
		return
	}
	if serial-l.newest >= ledgerSize {
		clear(l.admitted[:])
	} else {
		for n := l.newest + 1; n <= serial; n++ {
			word, bit := l.place(n)
			*word &^= bit
		}
	}
	l.newest = serial
}

func (l *ledger) place(serial uint64) (word *uint64, bit uint64) {
	i := serial % ledgerSize
	return &l.admitted[i/64], 1 << (i % 64)
}

// excused is how many requests were lost, each of which may have made a fetch.
func (l *ledger) excused() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.excuses
}
