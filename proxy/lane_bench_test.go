package proxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/cachenode/cachenode/internal/units"
)

// steady asks for the same again and again and allocates nothing for it.
type steady struct {
	c       net.Conn
	request []byte
	room    []byte // as long as a response
}

func (d *road) steady(path string, fields ...string) *steady {
	d.t.Helper()
	w := d.dial()
	request := "GET @" + path + " HTTP/1.1\r\nHost: h\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n"
	for _, f := range fields {
		request += f + "\r\n"
	}
	request += "\r\n"
	w.ask(request)
	d.stored()
	w.ask(request) // perhaps the one that warms the memory
	long := d.long.Load()
	if w.ask(request); d.long.Load() > long {
		d.t.Fatal("not on the short lane")
	}
	return &steady{w.c, []byte(strings.ReplaceAll(request, "@", d.origin.URL)), make([]byte, w.got.Len())}
}

func (s *steady) ask() error {
	if _, err := s.c.Write(s.request); err != nil {
		return err
	}
	_, err := io.ReadFull(s.c, s.room)
	return err
}

func onDisk(c *rigConfig) { c.disk, c.noMem = 64*units.MiB, true }

// A hit from memory allocates nothing, from the disk next to nothing.
func TestShortLaneAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("allocates itself")
	}
	for _, c := range []struct {
		name   string
		length int
		fields []string
		most   float64
		opts   []rigOption
	}{
		{"memory", 1000, nil, 0, nil},
		{"memory, long", 300_000, nil, 0, nil},
		{"not modified", 1000, []string{`If-None-Match: "1"`}, 0, nil},
		{"disk", 10_000, nil, 1, []rigOption{onDisk}},
		{"disk, long", 300_000, nil, 2, []rigOption{onDisk}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newRoad(t, true, c.opts...)
			d.unlogged = true
			d.pageOf(c.length)
			s := d.steady(fmt.Sprintf("/b%d", c.length), c.fields...)
			n := testing.AllocsPerRun(500, func() {
				if err := s.ask(); err != nil {
					t.Fatal(err)
				}
			})
			if n > c.most {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// A hit on the short lane over the loopback, client included.
func BenchmarkShortHit(b *testing.B) {
	for _, c := range []struct {
		name   string
		length int
		opts   []rigOption
	}{
		{"1k", 1 << 10, nil}, {"10k", 10 << 10, nil}, {"100k", 100 << 10, nil}, {"1m", 1 << 20, nil},
		{"disk-10k", 10 << 10, []rigOption{onDisk}}, {"disk-40k", 40 << 10, []rigOption{onDisk}}, {"disk-1m", 1 << 20, []rigOption{onDisk}},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := newRoad(b, true, c.opts...)
			d.unlogged = true
			d.pageOf(c.length)
			s := d.steady(fmt.Sprintf("/b%d", c.length))
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime(b)
			for range b.N {
				if err := s.ask(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
		})
	}
}
