package procstat

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	p, ok := parse("42 (a ) (b) S 7 42 42 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 1 0 99 1000000 300 18446744073709551615 1 1\n")
	want := Process{PID: 42, Parent: 7, Name: "a ) (b", User: 1230 * time.Millisecond, System: 450 * time.Millisecond, RSS: 300 * int64(os.Getpagesize())}
	if !ok || p != want {
		t.Errorf("%+v, %v, want %+v", p, ok, want)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1", "1 )x( S", "1 (x) S a b c d e f g h i j k l m n o p q r s t u v"} {
		if p, ok := parse(bad); ok {
			t.Errorf("%q was read as %+v", bad, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("42 (a ) (b) S 7 42 42 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 1 0 99 1000000 300 1 1 1")
	f.Add(")(")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := parse(text); !ok && p != (Process{}) {
			t.Errorf("%q: %+v although it cannot be read", text, p)
		}
	})
}

func TestOwnTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /proc in this form")
	}
	c := exec.Command("cat") // waits for its input
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	tree := Tree(os.Getpid())
	if !slices.Contains(tree, c.Process.Pid) || tree[0] != os.Getpid() {
		t.Errorf("%d with child %d has the tree %v", os.Getpid(), c.Process.Pid, tree)
	}
	if u := Of(tree...); u.RSS == 0 || u.Processes < 2 {
		t.Errorf("usage %+v", u)
	}
	in.Close()
	_ = c.Wait()
	before := Of(os.Getpid())
	for end := time.Now().Add(time.Minute); Of(os.Getpid()).Sub(before).Total() == 0; {
		if time.Now().After(end) {
			t.Fatal("turning in a loop uses no time")
		}
	}
	if busy, ok := Machine(); !ok || busy == 0 {
		t.Errorf("the machine was busy for %v, %v", busy, ok)
	}
	if u := Of(1 << 30); u != (Usage{}) {
		t.Errorf("no process has used %+v", u)
	}
}
