package store

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/time/rate"

	"github.com/cachenode/cachenode/cache"
)

// runScrub reads all stored objects, slowly and again and again, and drops those
// that do not pass their checksums.
func (d *disk) runScrub(ctx context.Context) error {
	perSecond := int(d.s.o.ScrubRate)
	if perSecond == 0 {
		return nil
	}
	pace := rate.NewLimiter(rate.Limit(perSecond), max(perSecond, blockSize+headerSize))
	for {
		for _, sg := range d.segs.snapshot() {
			if err := d.scrub(ctx, sg, pace); err != nil {
				return nil // ctx is done
			}
		}
		if err := sleep(ctx, time.Minute); err != nil {
			return nil
		}
	}
}

// scrub checks one segment. The error is that of ctx.
func (d *disk) scrub(ctx context.Context, sg *segment, pace *rate.Limiter) error {
	if d.segs.pin(sg.seq) == nil {
		return nil
	}
	defer d.segs.unpin(sg)
	var stop error
	err := walk(sg, func(e found) bool {
		stop = d.scrubEntry(ctx, sg, e, pace)
		return stop == nil
	})
	if err != nil {
		d.failed("read", err)
	}
	return stop
}

func (d *disk) scrubEntry(ctx context.Context, sg *segment, e found, pace *rate.Limiter) error {
	entry, err := d.load(e.h)
	if err != nil || entry == nil {
		return pace.WaitN(ctx, headerSize)
	}
	for _, v := range entry.vars {
		if v.rec.loc != (place{sg.seq, e.off}) || !sg.holds(&v.rec) { // what is cut off the sweep tells
			continue
		}
		err := d.scrubBody(ctx, sg, v, pace)
		if err == nil && v.rec.apart > 0 {
			_, err = readApart(sg, e.h, &v.rec)
		}
		if errors.Is(err, cache.ErrCorrupt) {
			d.log.Warn("stored object is damaged", "key", entry.key, "err", err)
			d.s.drop(e.h, v)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) scrubBody(ctx context.Context, sg *segment, v *variant, pace *rate.Limiter) error {
	r := newBodyReader(sg, &v.rec)
	defer r.close()
	b := make([]byte, min(blockSize, v.rec.meta.Length))
	for off := int64(0); off < v.rec.meta.Length; off += int64(len(b)) {
		if err := pace.WaitN(ctx, len(b)+headerSize); err != nil {
			return err
		}
		if _, err := r.ReadAt(b, off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
