package prefetch

import (
	"strings"
	"syscall"
	"testing"
)

// What may not be read is asked for without harm.
func TestNowhere(t *testing.T) {
	Of[int](nil)
	Of[[1000]byte](nil)
	String("")
	Bytes(nil, 100)
	m, err := syscall.Mmap(-1, 0, 8192, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip(err)
	}
	defer syscall.Munmap(m)
	if err := syscall.Mprotect(m[4096:], syscall.PROT_NONE); err != nil {
		t.Skip(err)
	}
	Bytes(m, 8192)
	Bytes(m[4090:], 1)
}

// What is there stays as it is.
func TestThere(t *testing.T) {
	s := strings.Repeat("abc", 100)
	b := []byte(s)
	for n := range len(b) {
		Bytes(b[n:], 64)
		String(s[n:])
	}
	Of(&s)
	if string(b) != s || s != strings.Repeat("abc", 100) {
		t.Error("changed")
	}
}
