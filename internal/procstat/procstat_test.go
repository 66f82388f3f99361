package procstat

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	s, err := parseStat([]byte("42 (a ) (b) S 7 42 42 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 1 0 99 1000000 300 18446744073709551615 1 1"))
	if err != nil || s.parent != 7 || s.user != 1230*time.Millisecond || s.system != 450*time.Millisecond || s.rss != 300*int64(os.Getpagesize()) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1", "1 (x) S a b c d e f g h i j k l m n o p q r s t u v"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a ) (b) S 7 42 42 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 1 0 99 1000000 300 1 1 1"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseStat(b) })
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
