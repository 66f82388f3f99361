package failover

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/cachenode/cachenode/internal/netlab"
)

// patience is how long anything may take before a test gives up on it. It is no
// limit on the product: a loaded machine may need most of it.
const patience = 60 * time.Second

// program is the binary that all hosts run. It is built without the race
// detector, which makes times of its own.
var program string

// Clusters mostly wait, so some of them run at a time; -parallel on the command
// line goes before it.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "3"); err != nil {
		panic(err)
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "cachenode-failover-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if netlab.Missing() == "" {
		program = filepath.Join(dir, "cachenode")
		if out, err := exec.Command("go", "build", "-o", program, "../../cmd/cachenode").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// measuring is how often each event is measured, as FAILOVER_MEASURE says; 0: the
// tests only look whether the right things happen.
func measuring() int { return number("FAILOVER_MEASURE", 0) }

// number reads one from the environment.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// must ends the test when there is an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
