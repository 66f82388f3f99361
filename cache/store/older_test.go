package store_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cachenode/cachenode/cache"
	"github.com/cachenode/cachenode/cache/store"
	"github.com/cachenode/cachenode/cache/store/storetest"
	"github.com/cachenode/cachenode/internal/units"
)

// unpack writes the files of an archive into dir.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A store that was written with records of version 2 and entries of version 1 is
// read, changed, and read again.
func TestStoreOfVersion2(t *testing.T) {
	o := options(t)
	o.Disk = 64 * units.MiB
	unpack(t, filepath.Join("testdata", "records-v2.tar.gz"), o.Dir)
	const one, empty, two = "http://example.com/0", "http://example.com/1", "http://example.com/2"
	de, en := storetest.Meta(two, 200, lang("de")), storetest.Meta(two, 200, lang("en"))
	body := func(m *cache.Meta) []byte {
		if m.Vary != nil {
			return storetest.Body(m.Vary[0].Value, 200)
		}
		return storetest.Body(m.Key, int(m.Length))
	}
	s := openIn(t, o)
	wantAll := func(s *store.Store, de *cache.Meta) {
		t.Helper()
		wantVariants(t, s, []*cache.Meta{storetest.Meta(one, 300)}, body)
		wantVariants(t, s, []*cache.Meta{storetest.Meta(empty, 0)}, body)
		wantVariants(t, s, []*cache.Meta{en, de}, body)
		if st := s.Stats(); st.Objects != 4 || st.Corrupt != 0 {
			t.Errorf("%+v", st)
		}
	}
	wantAll(s, de)
	de = storetest.Meta(two, 200, lang("de"))
	de.Header.Set("X-Fresh", "yes")
	objs := s.Lookup(two)
	if err := s.Update(objs[1], de); err != nil {
		t.Fatal(err)
	}
	for _, o := range objs {
		o.Release()
	}
	until(t, "the update is written", settled(s))
	de, en = en, de // the newest comes first
	for range 2 {
		s = reopen(t, s, o)
		wantAll(s, de)
	}
}
