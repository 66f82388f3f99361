package shortage

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A connection that gets through now and then does not make the shortage news.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pace
		told, tries := 0, 0
		for begun := time.Now(); time.Since(begun) < 150*time.Second; tries++ {
			if p.News() {
				told++
			}
			time.Sleep(p.Next())
			if tries%10 == 9 {
				p.Over()
			}
		}
		if told != 3 {
			t.Errorf("it was told %d times in 150 s", told)
		}
		if tries < 300 || tries > 1000 {
			t.Errorf("it was tried %d times in 150 s", tries)
		}
	})
}

func TestPassing(t *testing.T) {
	full := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	if !Passing(full) || !Passing(fmt.Errorf("accept: %w", full)) || Passing(net.ErrClosed) || Passing(errors.New("other")) {
		t.Error("what passes is not told from what does not")
	}
}
