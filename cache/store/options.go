package store

import (
	"errors"
	"fmt"

	"github.com/cachenode/cachenode/internal/units"
)

// Options of the store.
type Options struct {
	// Dir is the data directory. It is not part of the configuration file.
	Dir string `yaml:"-"`

	// Memory is the size of the memory tier, which keeps the most useful small
	// objects ready to send. 0 switches it off; then up to 16 MiB still hold what
	// is known of the objects on disk that were asked for last, not their bodies.
	// Where the machine or the control group has little memory, less is used.
	Memory units.Size `yaml:"memory"`
	// Disk is the space that the store may take on disk, its index included. 0
	// switches the disk tier off. When the disk has less room, less is used.
	Disk units.Size `yaml:"disk"`
	// MaxObject is the longest body that is stored, in bytes. Never more than
	// half of what the store may take. 0 means that half.
	MaxObject units.Size `yaml:"max_object"`
	// MemoryMaxObject is the longest body that the memory tier keeps, in bytes.
	// Never more than a sixteenth of the memory tier. 0 means that sixteenth.
	MemoryMaxObject units.Size `yaml:"memory_max_object"`
	// SegmentSize is the size of the files that bodies are kept in, in bytes;
	// they are evicted as a whole. A small or a very large store uses others.
	SegmentSize units.Size `yaml:"segment_size"`
	// Reserve is the free space, in bytes, under which nothing more is written
	// and old objects give way. 0 means as much as the index needs to be safe.
	Reserve units.Size `yaml:"reserve"`
	// ScrubRate is how many bytes of stored bodies are checked against their
	// checksums each second, in the background. 0 switches that off.
	ScrubRate units.Size `yaml:"scrub_rate"`
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{
		Memory:          256 * units.MiB,
		Disk:            10 * units.GiB,
		MaxObject:       4 * units.GiB,
		MemoryMaxObject: 4 * units.MiB,
		SegmentSize:     64 * units.MiB,
		ScrubRate:       1 * units.MiB,
	}
}

// The smallest tiers that work.
const (
	minMemory  = 1 * units.MiB
	minDisk    = 32 * units.MiB
	minSegment = 1 * units.MiB
)

// Validate reports everything that is wrong with o.
func (o *Options) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if o.Memory != 0 && o.Memory < minMemory {
		bad("memory", "%s is too small: use %s or more, or 0 for no memory tier", o.Memory, minMemory)
	}
	if o.Disk != 0 && o.Disk < minDisk {
		bad("disk", "%s is too small: use %s or more, or 0 for no disk tier", o.Disk, minDisk)
	}
	if o.Disk != 0 && o.Dir == "" {
		bad("disk", "no data directory")
	}
	if o.SegmentSize < minSegment {
		bad("segment_size", "%s is too small: use %s or more", o.SegmentSize, minSegment)
	}
	for key, v := range map[string]units.Size{
		"memory": o.Memory, "disk": o.Disk, "max_object": o.MaxObject,
		"memory_max_object": o.MemoryMaxObject, "reserve": o.Reserve, "scrub_rate": o.ScrubRate,
	} {
		if v < 0 {
			bad(key, "is negative")
		}
	}
	return errors.Join(errs...)
}

// memoryMaxObject is the limit that holds.
func (o *Options) memoryMaxObject() int64 {
	return int64(atMost(o.MemoryMaxObject, o.Memory/16))
}

// maxObject is the limit that holds with a disk tier of quota bytes.
func (o *Options) maxObject(quota int64) int64 {
	return int64(atMost(o.MaxObject, units.Size(quota/2)))
}

// segmentSize keeps between 16 and 1024 segments in the quota.
func (o *Options) segmentSize(quota int64) int64 {
	size := min(int64(o.SegmentSize), quota/16)
	return max(size, quota/1024, int64(minSegment)) / 4096 * 4096
}

// atMost is v, or limit when v is 0 or more than it.
func atMost(v, limit units.Size) units.Size {
	if v == 0 || v > limit {
		return limit
	}
	return v
}
