package store

// fate is what became of an entry that a record points to.
type fate uint8

const (
	fateKept    fate = iota // it is in its segment
	fateEvicted             // its segment was dropped
	fateLost                // its segment is missing or cut off
)

// holds reports that the entry of r is in the file, as far as can be told
// without reading it.
func (sg *segment) holds(r *record) bool {
	if sg.missing.Load() {
		return false
	}
	return sg.end == 0 || r.apartAt()+int64(r.apart) <= sg.end
}

// fate says what became of the entry of r. A segment of an earlier start that
// was not there when the store was opened counts as lost, although a crash may
// have come between its eviction and the index.
func (ss *segments) fate(r *record) fate {
	ss.mu.RLock()
	defer ss.mu.RUnlock()
	sg, seq := ss.all[r.loc.seg], r.loc.seg
	switch {
	case sg == nil && ss.found != nil && seq < ss.first && !ss.found[seq]:
		return fateLost
	case sg == nil:
		return fateEvicted
	case !sg.holds(r):
		return fateLost
	}
	return fateKept
}

// census is how many segments there are, and how long their files are together.
// Less than none is what is not known.
type census struct{ files, bytes int64 }

var unknownCensus = census{files: -1}

// takeCensus counts the segments in dir.
func takeCensus(dir string) census {
	files, err := segmentFiles(dir)
	if err != nil {
		return unknownCensus
	}
	c := census{files: int64(len(files))}
	for _, sf := range files {
		c.bytes += sf.info.Size()
	}
	return c
}

// allFound ends the knowledge of what was there when the store was opened.
func (ss *segments) allFound() {
	ss.mu.Lock()
	ss.found = nil
	ss.mu.Unlock()
}

// losses are objects that a sweep has found lost.
type losses struct {
	objects  uint64
	segments map[uint64]bool // their numbers
}

func (l *losses) add(seg uint64) {
	l.objects++
	l.segments[seg] = true
}

// tell counts what was lost, and says it.
func (d *disk) tell(l *losses) {
	if l.objects == 0 {
		return
	}
	d.s.n.missing.Add(l.objects)
	d.log.Warn("stored objects are lost: their files are missing or cut off",
		"dir", d.segs.dir, "segments", len(l.segments), "objects", l.objects)
}
