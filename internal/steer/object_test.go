package steer

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// section is what the object has in one of its sections; texts end with a zero.
func section(t *testing.T, object []byte, name string) []byte {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	s := f.Section(name)
	if s == nil {
		t.Fatalf("the object has no section %s", name)
	}
	b, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(b, "\x00")
}

// The object was made of forward.c as it is.
func TestObjectIsOfThisSource(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the object is embedded on Linux only")
	}
	source, err := os.ReadFile("forward.c")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(source)
	if was := section(t, embedded(t), ".steer.source"); string(was) != hex.EncodeToString(sum[:]) {
		t.Errorf("forward.o was made of another forward.c (%s): run go generate ./internal/steer", was)
	}
}

// Compiling forward.c gives the object's instructions.
func TestObjectIsWhatClangMakes(t *testing.T) {
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip("clang is not installed")
	}
	out := filepath.Join(t.TempDir(), "forward.o")
	if said, err := exec.Command("./compile.sh", out).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	made, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	was := embedded(t)
	if a, b := section(t, was, ".steer.compiler"), section(t, made, ".steer.compiler"); !bytes.Equal(a, b) {
		t.Skipf("the object is of clang %s, this one is %s: their instructions need not be the same", a, b)
	}
	for _, name := range []string{"tcx/ingress", "license"} {
		if !bytes.Equal(section(t, was, name), section(t, made, name)) {
			t.Errorf("section %s of forward.o is not what clang makes of forward.c: run go generate ./internal/steer", name)
		}
	}
}

func embedded(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("forward.o")
	if err != nil {
		t.Fatal(err)
	}
	return b
}
