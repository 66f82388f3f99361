package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const patience = 30 * time.Second

// pair returns the two ends of a connection.
func pair(t testing.TB) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closeQuietly(ln)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{c, a} {
		t.Cleanup(func() { closeQuietly(c) })
		_ = c.SetDeadline(time.Now().Add(patience))
	}
	_ = a.SetDeadline(time.Time{}) // the relay's
	return c.(*net.TCPConn), a.(*net.TCPConn)
}

// rig is a relay with the other ends of its connections.
type rig struct {
	*Relay
	client, far *net.TCPConn
	ended       chan Verdict
}

func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	o := Options{IdleTimeout: patience, HalfCloseTimeout: patience}
	if change != nil {
		change(&o)
	}
	client, near := pair(t)
	far, dialled := pair(t)
	return &rig{Relay: New(near, dialled, o), client: client, far: far, ended: make(chan Verdict, 1)}
}

func (r *rig) start(t testing.TB) {
	t.Cleanup(func() {
		r.Abort()
		r.wait(t)
	})
	go func() {
		r.ended <- r.Run()
		close(r.ended)
	}()
}

func (r *rig) wait(t testing.TB) Verdict {
	t.Helper()
	select {
	case v := <-r.ended:
		return v
	case <-time.After(patience):
		t.Fatal("the relay does not end")
		return Verdict{}
	}
}

// one is what one read returns.
func one(t testing.TB, c net.Conn) string {
	t.Helper()
	b := make([]byte, 1000)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestFirstGoesWithTheFirstBytes(t *testing.T) {
	r := newRig(t, func(o *Options) { o.First, o.FirstWait = []byte("header;"), patience })
	_, _ = io.WriteString(r.client, "hello")
	r.start(t)
	if got := one(t, r.far); got != "header;hello" {
		t.Errorf("far side got %q at first", got)
	}
	_, _ = io.WriteString(r.client, " and more")
	if got := one(t, r.far); got != " and more" {
		t.Errorf("far side got %q then", got)
	}
	_ = r.client.Close()
	_ = r.far.Close()
	if v := r.wait(t); v != (Verdict{}) {
		t.Errorf("ended as %+v", v)
	}
	if in, out := r.Moved(); in != int64(len("hello and more")) || out != 0 {
		t.Errorf("moved %d and %d bytes", in, out)
	}
}

func TestFirstWaitsForTheFirstBytes(t *testing.T) {
	r := newRig(t, func(o *Options) { o.First, o.FirstWait = []byte("header;"), patience })
	r.start(t)
	_, _ = io.WriteString(r.far, "hello") // has passed when the client has it
	if got := one(t, r.client); got != "hello" {
		t.Errorf("client got %q", got)
	}
	_, _ = io.WriteString(r.client, "hi")
	if got := one(t, r.far); got != "header;hi" {
		t.Errorf("far side got %q at first", got)
	}
}

func TestFirstGoesAloneWhenTheClientIsSilent(t *testing.T) {
	r := newRig(t, func(o *Options) { o.First, o.FirstWait = []byte("header;"), 20*time.Millisecond })
	r.start(t)
	if got := one(t, r.far); got != "header;" {
		t.Errorf("far side got %q at first", got)
	}
	time.Sleep(30 * time.Millisecond) // the wait is over for good
	_, _ = io.WriteString(r.client, "hi")
	if got := one(t, r.far); got != "hi" {
		t.Errorf("far side got %q then", got)
	}
	_ = r.client.Close()
	_ = r.far.Close()
	r.wait(t)
	if in, _ := r.Moved(); in != 2 { // which lags behind until the end
		t.Errorf("moved %d bytes", in)
	}
}

func TestFirstGoesBeforeTheEnd(t *testing.T) {
	for name, say := range map[string]string{"without a byte": "", "with bytes": "hi"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.First, o.FirstWait = []byte("header;"), patience })
			_, _ = io.WriteString(r.client, say)
			_ = r.client.CloseWrite()
			r.start(t)
			got, err := io.ReadAll(r.far)
			if err != nil || string(got) != "header;"+say {
				t.Errorf("far side got %q, %v", got, err)
			}
			_, _ = io.WriteString(r.far, "answer")
			_ = r.far.CloseWrite()
			if got, err := io.ReadAll(r.client); err != nil || string(got) != "answer" {
				t.Errorf("client got %q, %v", got, err)
			}
		})
	}
}

// early is a connection of which something was read already.
type early struct {
	net.Conn
	b []byte
}

func (e early) Detach() ([]byte, net.Conn) { return e.b, e.Conn }

func TestFirstGoesWithWhatWasReadAhead(t *testing.T) {
	client, near := pair(t)
	far, dialled := pair(t)
	r := &rig{client: client, far: far, ended: make(chan Verdict, 1), Relay: New(early{near, []byte("read ahead,")}, dialled,
		Options{IdleTimeout: patience, HalfCloseTimeout: patience, First: []byte("header;"), FirstWait: patience})}
	r.start(t)
	if got := one(t, r.far); got != "header;read ahead," {
		t.Errorf("far side got %q at first", got)
	}
}

func TestWithoutTCP(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	client, near := net.Pipe()
	far, dialled := net.Pipe()
	r := New(near, dialled, Options{IdleTimeout: patience, HalfCloseTimeout: patience, First: []byte("header;"), FirstWait: time.Millisecond})
	ended := make(chan Verdict, 1)
	go func() { ended <- r.Run() }()
	if got := one(t, far); got != "header;" {
		t.Errorf("far side got %q at first", got)
	}
	_, _ = io.WriteString(client, "hi")
	if got := one(t, far); got != "hi" {
		t.Errorf("far side got %q then", got)
	}
	_, _ = io.WriteString(far, "hello")
	if got := one(t, client); got != "hello" {
		t.Errorf("client got %q", got)
	}
	_ = client.Close()
	_ = far.Close()
	<-ended
}

func TestAbortBeforeRun(t *testing.T) {
	r := newRig(t, nil)
	r.Abort()
	r.start(t)
	if v := r.wait(t); v != (Verdict{Aborted: true}) {
		t.Errorf("ended as %+v", v)
	}
	if _, err := r.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("client sees %v, want a reset", err)
	}
}

func TestCutOffIsAReset(t *testing.T) {
	r := newRig(t, nil)
	r.start(t)
	_, _ = io.WriteString(r.client, "hi")
	one(t, r.far)
	r.CutOff()
	if v := r.wait(t); v != (Verdict{Aborted: true, Cut: true}) {
		t.Errorf("ended as %+v", v)
	}
	for side, c := range map[string]net.Conn{"client": r.client, "far side": r.far} {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s sees %v, want a reset", side, err)
		}
	}
}

// A request and its answer, many times, and what is pending when the end comes
// together with the last bytes.
func TestManyRoundsAndAnEndBehindBytes(t *testing.T) {
	r := newRig(t, nil)
	r.start(t)
	for range 200 {
		_, _ = io.WriteString(r.client, "ask")
		if got := one(t, r.far); got != "ask" {
			t.Fatalf("far side got %q", got)
		}
		_, _ = io.WriteString(r.far, "answer")
		if got := one(t, r.client); got != "answer" {
			t.Fatalf("client got %q", got)
		}
	}
	_, _ = io.WriteString(r.client, "last")
	_ = r.client.CloseWrite()
	if got, err := io.ReadAll(r.far); err != nil || string(got) != "last" {
		t.Errorf("far side got %q, %v", got, err)
	}
	long := strings.Repeat("0123456789", 100_000)
	go func() {
		_, _ = io.WriteString(r.far, long)
		_ = r.far.CloseWrite()
	}()
	if got, err := io.ReadAll(r.client); err != nil || string(got) != long {
		t.Errorf("client got %d bytes, %v", len(got), err)
	}
	if v := r.wait(t); v != (Verdict{}) {
		t.Errorf("ended as %+v", v)
	}
}

func TestSplicesOnlyPlainTCP(t *testing.T) {
	a, z := net.Pipe()
	defer closeQuietly(a)
	defer closeQuietly(z)
	s := sideOf(early{a, []byte("x")})
	if s.tcp != nil || s.conn != a || !bytes.Equal(s.early, []byte("x")) {
		t.Errorf("side %+v", s)
	}
}

// An answer counts apart from what is moved, and comes first.
func TestAnswer(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Answer = []byte("200 ") })
	r.start(t)
	if _, err := r.far.Write([]byte("first")); err != nil {
		t.Fatal(err)
	}
	_ = r.far.CloseWrite()
	if b, err := io.ReadAll(r.client); string(b) != "200 first" || err != nil {
		t.Errorf("the client got %q, %v", b, err)
	}
	_ = r.client.CloseWrite()
	if v := r.wait(t); v != (Verdict{}) {
		t.Errorf("ended as %+v", v)
	}
	if _, out := r.Moved(); out != 5 || r.Answered() != 4 {
		t.Errorf("moved %d bytes, answered with %d", out, r.Answered())
	}
}

// A client that does not take its answer is given up as one that does not take
// the rest.
func TestAnAnswerThatIsNotTaken(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.IdleTimeout = 100 * time.Millisecond
		o.Answer = make([]byte, 64<<20)
	})
	r.start(t)
	if v := r.wait(t); v != (Verdict{TimedOut: true}) {
		t.Errorf("ended as %+v", v)
	}
}
