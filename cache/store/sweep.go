package store

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// sweepChunk is how many keys are swept at a time.
const sweepChunk = 512

// run does the work behind until ctx is done.
func (d *disk) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.runWatch(ctx) })
	g.Go(func() error { return d.runSweeps(ctx) })
	g.Go(func() error { return d.runScrub(ctx) })
	g.Go(func() error { return d.runLearn(ctx) })
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// watchEvery is how often the free space is looked at while nothing is written.
const watchEvery = 200 * time.Millisecond

// runWatch has the keeper look at the disk, and keeps the totals.
func (d *disk) runWatch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := d.enqueue(op{kind: opWatch}); err != nil {
			return nil // closed
		}
		if i%50 == 0 && !d.readOnly() {
			if err := d.noteTotals(); err != nil {
				d.failed("write state", err)
			}
		}
	}
}

func (d *disk) noteTotals() error {
	return d.state.totals(d.s.n.objects.Load(), d.s.n.bytes.Load(), d.line.moment(d.s.now()))
}

// wantSweep has Run sweep soon.
func (d *disk) wantSweep() {
	d.sweepWanted.Store(true)
	select {
	case d.sweepNow <- struct{}{}:
	default:
	}
}

// runSweeps sweeps the index when there is a reason: purges, or records that
// may point to nothing after a crash or a full disk.
func (d *disk) runSweeps(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		if d.sweepWanted.Load() && !d.readOnly() {
			d.sweepWanted.Store(false)
			if err := d.sweepAll(ctx); err != nil {
				d.sweepWanted.Store(true)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-d.sweepNow:
		}
	}
}

// sweepAll takes off the index what is purged, unreadable or points to nothing,
// and counts what there is.
func (d *disk) sweepAll(ctx context.Context) error {
	swept := *d.s.purges.list.Load()
	lost := losses{segments: map[uint64]bool{}}
	if err := d.settle(ctx); err != nil {
		return err
	}
	objects, bytes := d.s.n.objects.Load(), d.s.n.bytes.Load()
	var seenObjects, seenBytes int64
	dead := func(e *entry) (dead bool) {
		for _, v := range e.vars {
			seenObjects++
			seenBytes += v.rec.meta.Length
			purged := d.s.purges.matches(e.key, v.rec.id)
			f := d.segs.fate(&v.rec)
			if f == fateLost && !purged {
				lost.add(v.rec.loc.seg)
			}
			dead = dead || purged || f != fateKept
		}
		return dead
	}
	if _, err := d.sweep(ctx, dead); err != nil {
		return err
	}
	d.segs.allFound() // no record points to what was missing any more
	d.tell(&lost)
	// What changed meanwhile was counted by the keeper.
	d.s.n.objects.Add(seenObjects - objects)
	d.s.n.bytes.Add(seenBytes - bytes)
	for i := range swept {
		d.s.purgeMemory(&swept[i])
		d.s.purges.drop(swept[i].id)
	}
	return nil
}

// sweepPurge takes what p matches off the index. done is false when ctx ended
// or nothing can be written.
func (d *disk) sweepPurge(ctx context.Context, p *purge) (n int, done bool) {
	before := d.s.n.objects.Load()
	if err := d.settle(ctx); err != nil {
		return 0, false
	}
	switch p.kind {
	case purgeURL:
		h := d.s.hash(p.pattern)
		if e, err := d.load(h); err == nil && e != nil {
			n = len(e.vars)
		}
		if d.refresh(ctx, []hash{h}) != nil {
			return n, false
		}
	case purgeAll:
		a, err := d.ask(ctx, op{kind: opEmpty})
		if err != nil || a.refused {
			return int(before), false
		}
		n = int(before)
		fallthrough
	default:
		matched, err := d.sweep(ctx, func(e *entry) bool { return p.matches(e.key) })
		n = max(n, matched)
		if err != nil {
			return n, false
		}
	}
	return max(n, d.s.purgeMemory(p)), true
}

// settle waits until the index has all that was committed before.
func (d *disk) settle(ctx context.Context) error {
	a, err := d.ask(ctx, op{kind: opSync})
	if err == nil && a.refused {
		err = errRefused
	}
	return err
}

// ask has the keeper do something and waits for the answer.
func (d *disk) ask(ctx context.Context, o op) (answer, error) {
	done := make(chan answer, 1)
	o.done = done
	if err := d.enqueue(o); err != nil {
		return answer{}, err
	}
	select {
	case a := <-done:
		return a, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// sweep has the keeper look again at each key for which dead is true. It
// returns the number of objects of those keys.
func (d *disk) sweep(ctx context.Context, dead func(e *entry) bool) (n int, err error) {
	var after []byte
	for {
		chunk, next := make([]hash, 0, sweepChunk), []byte(nil)
		seen := 0
		err := d.idx.scan(after, func(h hash, e *entry, err error) bool {
			if seen++; seen > 20*sweepChunk || len(chunk) == cap(chunk) || ctx.Err() != nil {
				next = h[:]
				return false
			}
			if err != nil {
				d.s.n.corrupt.Add(1)
				chunk = append(chunk, h)
			} else if dead(e) {
				n += len(e.vars)
				chunk = append(chunk, h)
			}
			return true
		})
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = d.refresh(ctx, chunk)
		}
		if err != nil || next == nil {
			return n, err
		}
		after = next
	}
}

// refresh has the keeper bring keys up to date: it drops what is dead.
func (d *disk) refresh(ctx context.Context, keys []hash) error {
	done := make(chan answer, len(keys))
	for _, h := range keys {
		if err := d.enqueue(op{h: h, done: done}); err != nil {
			return err
		}
	}
	for range keys {
		select {
		case a := <-done:
			if a.refused {
				return errRefused
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// empty drops all segments at once: everything in them is purged.
func (k *keeper) empty() {
	k.flush()
	k.index()
	k.seal()
	for _, sg := range k.d.segs.snapshot() {
		k.d.dropSegment(sg)
	}
}

// watch looks at the disk: it makes the store writable again, or lets old
// objects give way to whatever fills the disk.
func (k *keeper) watch() {
	d := k.d
	if d.space.look(0) {
		if d.readOnly() && time.Since(*d.space.retryAt.Load()) >= 0 && d.space.look(d.memtable+bufferSize) {
			d.space.ro.Store(false)
			d.log.Info("store is writable again", "dir", d.dir)
		}
		return
	}
	d.setReadOnly("disk is nearly full", nil)
	if sg := d.segs.oldest(k.sg); sg != nil {
		k.evict(sg, false)
	} else if k.sg != nil {
		k.lose()
	}
}
