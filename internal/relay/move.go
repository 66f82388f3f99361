package relay

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

const (
	copySize  = 32 << 10 // fits the first-level cache; more is dearer
	fullReads = 3        // so many full buffers in a row are a bulk transfer
)

// direction is one way through the relay.
type direction struct {
	src, dst *side
	back     *direction // the other way
	inlet    inlet
	outlet   outlet
	moved    atomic.Int64 // bytes of src written to dst
	ended    atomic.Bool  // src has ended and dst was told

	first     []byte // goes before the bytes of src
	firstWait time.Duration
}

func (d *direction) init(src, dst *side, back *direction) {
	d.src, d.dst, d.back = src, dst, back
	d.inlet.open(src)
	d.outlet.open(dst)
}

// run moves bytes until src ends, and tells dst that it has unless that is
// about to be closed.
func (d *direction) run() error {
	defer d.inlet.release()
	if err := d.moveEarly(); err != nil {
		return err
	}
	if err := d.moveFirst(); err != nil {
		return err
	}
	if err := d.moveAll(); err != nil {
		return err
	}
	d.ended.Store(true)
	if d.back.ended.Load() {
		return nil // both connections are closed next
	}
	return d.dst.closeWrite()
}

func (d *direction) moveEarly() error {
	early := d.src.early
	d.src.early = nil
	if len(early) == 0 {
		return nil
	}
	first := d.takeFirst()
	return d.write(append(first, early...), len(first))
}

// takeFirst is what still has to be sent before src's bytes.
func (d *direction) takeFirst() []byte {
	first := d.first
	d.first = nil
	return first
}

// write writes b, whose beginning was not src's.
func (d *direction) write(b []byte, beginning int) error {
	n, err := d.outlet.write(b)
	d.moved.Add(int64(max(n-beginning, 0)))
	return err
}

// moveAll copies small pieces through a buffer, and lets the kernel splice
// once a bulk transfer is under way.
func (d *direction) moveAll() error {
	for full := 0; ; {
		b, err := d.inlet.read()
		if len(b) > 0 {
			if err := d.write(b, 0); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if full++; len(b) < copySize {
			full = 0
		}
		if full < fullReads || d.src.tcp == nil || d.dst.tcp == nil {
			continue
		}
		full = 0
		d.inlet.release()
		if end, err := d.splice(); end || err != nil {
			return err
		}
	}
}

// moveFirst has first sent with the first bytes of src, or alone when those are
// long in coming.
func (d *direction) moveFirst() error {
	if len(d.first) == 0 {
		return nil
	}
	d.inlet.ahead = d.first
	if !d.inlet.ready() {
		if err := d.src.conn.SetReadDeadline(time.Now().Add(d.firstWait)); err != nil {
			return err
		}
		defer func() { _ = d.src.conn.SetReadDeadline(time.Time{}) }() // a closed one says so when it is read
	}
	b, err := d.inlet.read()
	d.inlet.ahead = nil
	first := d.takeFirst()
	switch {
	case len(b) > 0:
		return d.write(b, len(first))
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF): // the end is read once more
		return d.write(first, len(first))
	default:
		return err
	}
}
