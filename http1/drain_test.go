package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// ask sends a request on a kept connection and returns the answer.
func (k *kept) ask() *http.Response {
	k.t.Helper()
	if _, err := fmt.Fprint(k, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		k.t.Fatal(err)
	}
	res, _ := readResponse(k.t, k.br, "GET")
	return res
}

// kept is a client's connection for several requests.
type kept struct {
	net.Conn
	br *bufio.Reader
	t  *testing.T
}

func (r *rig) keep(t *testing.T) *kept {
	c := r.dial()
	return &kept{c, bufio.NewReader(c), t}
}

// While a server drains, idle connections end in order after a while, new ones
// are served, and every answer says that it is the last.
func TestDrainEndsIdleConnections(t *testing.T) {
	r := newRig(t, nil)
	r.srv.drainIdle = 20 * time.Millisecond
	old := r.keep(t)
	if old.ask().Close {
		t.Fatal("no kept connection")
	}
	r.srv.Drain(true)
	if b, err := io.ReadAll(old.br); len(b) > 0 || err != nil {
		t.Errorf("an idle connection ended with %q, %v", b, err)
	}
	old.Close()
	fresh := r.keep(t)
	time.Sleep(3 * r.srv.drainIdle) // one that has carried nothing yet is no idle one
	if !fresh.ask().Close {
		t.Error("an answer in a drain keeps the connection")
	}
	if _, err := io.ReadAll(fresh.br); err != nil {
		t.Error(err)
	}
	fresh.Close()
	if err := r.srv.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// A connection whose answer had promised to keep it ends too.
func TestDrainBehindAnAnswer(t *testing.T) {
	began, answer := make(chan bool), make(chan bool)
	r := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1")
		w.(http.Flusher).Flush()
		began <- true
		<-answer
		fmt.Fprint(w, "x")
	})
	r.srv.drainIdle = 20 * time.Millisecond
	c := r.keep(t)
	fmt.Fprint(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	<-began
	r.srv.Drain(true)
	answer <- true
	if res, body := readResponse(t, c.br, "GET"); res.Close || body != "x" {
		t.Errorf("%v %q", res.Close, body)
	}
	if b, err := io.ReadAll(c.br); len(b) > 0 || err != nil {
		t.Errorf("behind the answer %q, %v", b, err)
	}
}

// A drain that is taken back leaves idle connections as they were.
func TestDrainIsTakenBack(t *testing.T) {
	r := newRig(t, nil)
	r.srv.drainIdle = 50 * time.Millisecond
	c := r.keep(t)
	c.ask()
	r.srv.Drain(true)
	r.srv.Drain(false)
	time.Sleep(3 * r.srv.drainIdle)
	if c.ask().Close {
		t.Error("the connection is not kept")
	}
	time.Sleep(3 * r.srv.drainIdle)
	c.ask()
}

// What is cut looks broken also where a close is how bodies end, and the server
// goes on.
func TestCut(t *testing.T) {
	began := make(chan bool, 1)
	var stay bool
	r := serving(t, func(w http.ResponseWriter, q *http.Request) {
		if stay {
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			began <- true
			<-q.Context().Done()
			panic(http.ErrAbortHandler)
		}
	})
	stay = true
	checkCut(t, r, began, r.srv.Cut)
	stay = false
	r.keep(t).ask()
	stay = true
	checkCut(t, r, began, func() { r.must(r.srv.Close()) })
}

func checkCut(t *testing.T, r *rig, began <-chan bool, cut func()) {
	t.Helper()
	c := r.dial()
	fmt.Fprint(c, "GET /a HTTP/1.0\r\n\r\n")
	<-began
	cut()
	if b, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after %q the client sees %v", b, err)
	}
}
