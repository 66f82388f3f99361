package main

import (
	"io"
	"os"
	"strings"
	"testing"
)

// Messages that nobody reads are dropped, and come again when somebody does.
func TestMessagesToAPipeNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	out := messages(w)
	line := strings.Repeat("x", 4095) + "\n"
	lost := 0
	for range 100 { // more than a pipe holds
		if _, err := io.WriteString(out, line); err != nil {
			lost++
		}
	}
	if lost == 0 {
		t.Fatal("nothing was lost")
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	for range 10_000 {
		if _, err := io.WriteString(out, "y"); err == nil {
			return
		}
	}
	t.Error("nothing is written again")
}
