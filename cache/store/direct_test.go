package store_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// A file system without direct writes holds objects as well, and it is said once.
func TestFileSystemWithoutDirectWrites(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "size=96m")
	var log bytes.Buffer
	o := options(t)
	o.Dir, o.Memory, o.Disk, o.SegmentSize = dir, 0, 64*units.MiB, units.MiB
	s, err := store.New(o, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	keys := fill(t, s, 200, 20_000)
	until(t, "objects are written", settled(s))
	if hits := check(t, s, keys, 20_000); hits != 200 {
		t.Errorf("%d of 200 objects", hits)
	}
	storetest.Put(t, s, "http://example.com/more", storetest.Body("more", 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	direct := probeDirect(dir)
	if n := strings.Count(log.String(), "no direct writes"); n > 1 || direct == (n == 1) {
		t.Errorf("direct writes work: %v, said %d times:\n%s", direct, n, &log)
	}
}

// probeDirect reports whether a file can be opened for direct writes.
func probeDirect(dir string) bool {
	fd, err := unix.Open(dir+"/probe", unix.O_CREAT|unix.O_WRONLY|unix.O_DIRECT, 0o600)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}
