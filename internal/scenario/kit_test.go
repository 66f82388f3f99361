package scenario

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience is how long anything may take before a scenario gives up on it. It
// is no limit on the product: a loaded machine may need most of it.
const patience = 60 * time.Second

// bin is where the binaries of this run are.
var bin string

// Scenarios mostly wait, so more of them run at a time than there are
// processors; -parallel on the command line goes before it.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "cachenode-scenario-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	if err := build("cachenode", raceFlag); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(name string, flags ...string) error {
	args := []string{"build", "-o", filepath.Join(bin, name)}
	for _, f := range flags {
		if f != "" {
			args = append(args, f)
		}
	}
	out, err := exec.Command("go", append(args, "../../cmd/cachenode")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// plain is the binary without the race detector, which multiplies memory.
var plain = sync.OnceValues(func() (string, error) {
	if raceFlag == "" {
		return filepath.Join(bin, "cachenode"), nil
	}
	return filepath.Join(bin, "cachenode-plain"), build("cachenode-plain")
})

// must ends the test when there is an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// wants skips the test when a program is missing, and returns where it is.
func wants(t *testing.T, program string) string {
	t.Helper()
	for _, p := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed", program)
	return ""
}

func wantsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can do this")
	}
}

// file writes a file of its own and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// config writes a configuration file.
func config(t *testing.T, format string, args ...any) string {
	t.Helper()
	return file(t, "cachenode.yaml", fmt.Sprintf(format, args...))
}

// pattern is n bytes in which no two places look alike.
func pattern(n int) string {
	b := make([]byte, n)
	x := uint32(n)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return string(b)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
